// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/id.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/table.h"

namespace davit::server::cli {
namespace {

std::string StateName(runtime::v1::ContainerState state) {
  switch (state) {
    case runtime::v1::CONTAINER_CREATED:
      return "Created";
    case runtime::v1::CONTAINER_RUNNING:
      return "Running";
    case runtime::v1::CONTAINER_EXITED:
      return "Exited";
    default:
      return "Unknown";
  }
}

}  // namespace

absl::Status RunPs(const Globals& globals, const ListOptions& options) {
  Client client(globals.socket);
  runtime::v1::ListContainersRequest request;
  if (!options.all) {
    request.mutable_filter()->mutable_state()->set_state(runtime::v1::CONTAINER_RUNNING);
  }
  request.mutable_filter()->set_pod_sandbox_id(options.pod);
  ASSIGN_OR_RETURN(const auto response, DAVIT_RUNTIME_CALL(client, ListContainers, request));
  if (globals.json) {
    fmt::print("{}", ToJson(response));
    return absl::OkStatus();
  }
  Table table({"CONTAINER ID", "STATE", "NAME", "ATTEMPT", "IMAGE", "POD ID", "CREATED"});
  for (const auto& container : response.containers()) {
    if (options.quiet) {
      fmt::print("{}\n", container.id());
      continue;
    }
    table.Add({ShortId(container.id()), StateName(container.state()), container.metadata().name(),
               std::to_string(container.metadata().attempt()), container.image().image(),
               ShortId(container.pod_sandbox_id()), Ago(container.created_at())});
  }
  if (!options.quiet) {
    fmt::print("{}", table.Text());
  }
  return absl::OkStatus();
}

}  // namespace davit::server::cli
