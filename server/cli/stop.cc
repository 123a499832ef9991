// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/resolve.h"

namespace davit::server::cli {
namespace {

absl::Status StopOne(Client& client, const Object& object, int64_t timeout_seconds) {
  if (object.is_pod) {
    runtime::v1::StopPodSandboxRequest request;
    request.set_pod_sandbox_id(object.id);
    return DAVIT_RUNTIME_CALL(client, StopPodSandbox, request, kLong).status();
  }
  runtime::v1::StopContainerRequest request;
  request.set_container_id(object.id);
  request.set_timeout(timeout_seconds);
  return DAVIT_RUNTIME_CALL(client, StopContainer, request, kLong).status();
}

}  // namespace

absl::Status RunStop(const Globals& globals, const StopOptions& options) {
  Client client(globals.socket);
  for (const auto& name : options.objects) {
    ASSIGN_OR_RETURN(const Object object, Resolve(client, name));
    RETURN_IF_ERROR(StopOne(client, object, options.timeout_seconds));
    fmt::print("{}\n", name);
  }
  return absl::OkStatus();
}

}  // namespace davit::server::cli
