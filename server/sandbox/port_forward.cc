// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/id.h"
#include "base/namespace.h"
#include "base/status.h"
#include "server/paths.h"
#include "server/sandbox/pod_config.h"
#include "server/sandbox/sandbox_rpcs.h"
#include "server/streaming/server.h"

namespace davit::server {
namespace {

absl::StatusOr<std::shared_ptr<Sandbox>> FindReady(const Node& node, const std::string& id) {
  ASSIGN_OR_RETURN(auto sandbox, node.sandboxes.Find(id));
  const auto state = sandbox->record()->state();
  if (state != davit::state::v1::SANDBOX_READY) {
    return FailedPrecondition("sandbox {} is not ready but {}: cannot forward ports of it",
                              ShortId(sandbox->id()), davit::state::v1::SandboxState_Name(state));
  }
  return sandbox;
}

// A host without IPv6 has IPv4, and the reverse.
absl::StatusOr<std::vector<UniqueFd>> MakeSockets() {
  std::vector<UniqueFd> sockets;
  int error = 0;
  for (const int family : {AF_INET, AF_INET6}) {
    sockets.emplace_back(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    error = sockets.back().valid() ? error : errno;
  }
  return sockets[0].valid() || sockets[1].valid()
             ? absl::StatusOr<std::vector<UniqueFd>>(std::move(sockets))
             : ErrnoStatus(error, "make a socket");
}

// A socket belongs to the network in which it was made, whoever uses it.
absl::StatusOr<std::vector<UniqueFd>> SocketsOfPod(Node& node, const std::string& id) {
  ASSIGN_OR_RETURN(const auto sandbox, FindReady(node, id));
  if (HostNetwork(sandbox->record()->config())) {
    return MakeSockets();
  }
  const std::string pin = Paths(node.config.storage.run).Pin(sandbox->id(), "net");
  absl::StatusOr<std::vector<UniqueFd>> sockets = std::vector<UniqueFd>();
  RETURN_IF_ERROR(RunInNetNs(pin, [&sockets] {
    sockets = MakeSockets();
    return sockets.status();
  }));
  return sockets;
}

}  // namespace

absl::StatusOr<runtime::v1::PortForwardResponse> PortForward(
    Node& node, Context& /*ctx*/, const runtime::v1::PortForwardRequest& request) {
  ASSIGN_OR_RETURN(const auto sandbox, FindReady(node, request.pod_sandbox_id()));
  streaming::PortForwardRequest forward;
  forward.what = "port-forward of sandbox " + ShortId(sandbox->id());
  for (const int32_t port : request.port()) {
    if (port <= 0 || port > UINT16_MAX) {
      return InvalidArgument("{}: {} is no port", forward.what, port);
    }
    forward.ports.push_back(static_cast<uint16_t>(port));
  }
  forward.sockets = [&node, id = sandbox->id()](Context&) { return SocketsOfPod(node, id); };
  runtime::v1::PortForwardResponse response;
  ASSIGN_OR_RETURN(*response.mutable_url(), node.streaming.AddPortForward(std::move(forward)));
  return response;
}

}  // namespace davit::server
