// SPDX-License-Identifier: Apache-2.0
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/resolve.h"
#include "server/cli/stream/port_forwarder.h"

namespace davit::server::cli {
namespace {

// Of a container its pod is meant.
absl::StatusOr<std::string> ResolvePod(Client& client, const std::string& name) {
  ASSIGN_OR_RETURN(const Object object, Resolve(client, name));
  if (object.is_pod) {
    return object.id;
  }
  runtime::v1::ListContainersRequest request;
  request.mutable_filter()->set_id(object.id);
  ASSIGN_OR_RETURN(const auto response, DAVIT_RUNTIME_CALL(client, ListContainers, request));
  if (response.containers().empty()) {
    return NotFound("container {} was removed a moment ago", name);
  }
  return response.containers(0).pod_sandbox_id();
}

absl::StatusOr<std::string> OpenPort(Client& client, const std::string& pod, uint16_t port) {
  runtime::v1::PortForwardRequest request;
  request.set_pod_sandbox_id(pod);
  request.add_port(port);
  ASSIGN_OR_RETURN(const auto response, DAVIT_RUNTIME_CALL(client, PortForward, request));
  return response.url();
}

}  // namespace

absl::Status RunPortForward(const Globals& globals, const PortForwardOptions& options) {
  Client client(globals.socket);
  ForwardOptions forward;
  forward.addresses = options.addresses;
  forward.ca_file = options.tls_ca;
  for (const std::string& text : options.ports) {
    ASSIGN_OR_RETURN(forward.ports.emplace_back(), ParseForwardedPort(text));
  }
  ASSIGN_OR_RETURN(const std::string pod, ResolvePod(client, options.pod));
  forward.open = [&client, &pod](uint16_t port) { return OpenPort(client, pod, port); };
  // What can be known to fail is said before anybody connects.
  RETURN_IF_ERROR(OpenPort(client, pod, forward.ports.front().remote).status());
  return ForwardPorts(forward);
}

}  // namespace davit::server::cli
