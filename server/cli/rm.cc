// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/resolve.h"

namespace davit::server::cli {
namespace {

absl::Status RefuseRunningContainer(Client& client, const std::string& name,
                                    const std::string& id) {
  runtime::v1::ContainerStatusRequest request;
  request.set_container_id(id);
  ASSIGN_OR_RETURN(const auto response, DAVIT_RUNTIME_CALL(client, ContainerStatus, request));
  if (response.status().state() == runtime::v1::CONTAINER_RUNNING) {
    return FailedPrecondition("container {} is running; stop it first or use --force", name);
  }
  return absl::OkStatus();
}

absl::Status RefuseReadyPod(Client& client, const std::string& name, const std::string& id) {
  runtime::v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(id);
  ASSIGN_OR_RETURN(const auto response, DAVIT_RUNTIME_CALL(client, PodSandboxStatus, request));
  if (response.status().state() == runtime::v1::SANDBOX_READY) {
    return FailedPrecondition("pod {} is running; stop it first or use --force", name);
  }
  return absl::OkStatus();
}

absl::Status RemoveOne(Client& client, const std::string& name, bool force) {
  ASSIGN_OR_RETURN(const Object object, Resolve(client, name));
  if (object.is_pod) {
    if (!force) {
      RETURN_IF_ERROR(RefuseReadyPod(client, name, object.id));
    }
    runtime::v1::RemovePodSandboxRequest request;
    request.set_pod_sandbox_id(object.id);
    return DAVIT_RUNTIME_CALL(client, RemovePodSandbox, request, kLong).status();
  }
  if (!force) {
    RETURN_IF_ERROR(RefuseRunningContainer(client, name, object.id));
  }
  runtime::v1::RemoveContainerRequest request;
  request.set_container_id(object.id);
  return DAVIT_RUNTIME_CALL(client, RemoveContainer, request, kLong).status();
}

}  // namespace

absl::Status RunRemove(const Globals& globals, const RemoveOptions& options) {
  Client client(globals.socket);
  for (const auto& name : options.objects) {
    RETURN_IF_ERROR(RemoveOne(client, name, options.force));
    fmt::print("{}\n", name);
  }
  return absl::OkStatus();
}

}  // namespace davit::server::cli
