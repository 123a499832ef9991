// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/id.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/table.h"

namespace davit::server::cli {
namespace {

std::string StateName(runtime::v1::PodSandboxState state) {
  return state == runtime::v1::SANDBOX_READY ? "Ready" : "NotReady";
}

// The address is in the status only; a pod that went away meanwhile has none.
std::string AddressOf(Client& client, const std::string& id) {
  runtime::v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(id);
  const auto status = DAVIT_RUNTIME_CALL(client, PodSandboxStatus, request);
  return status.ok() ? status->status().network().ip() : "";
}

}  // namespace

absl::Status RunPods(const Globals& globals, const ListOptions& options) {
  Client client(globals.socket);
  runtime::v1::ListPodSandboxRequest request;
  ASSIGN_OR_RETURN(const auto response, DAVIT_RUNTIME_CALL(client, ListPodSandbox, request));
  if (globals.json) {
    fmt::print("{}", ToJson(response));
    return absl::OkStatus();
  }
  Table table({"POD ID", "STATE", "NAMESPACE", "NAME", "ATTEMPT", "ADDRESS", "CREATED"});
  for (const auto& pod : response.items()) {
    if (options.quiet) {
      fmt::print("{}\n", pod.id());
      continue;
    }
    table.Add({ShortId(pod.id()), StateName(pod.state()), pod.metadata().namespace_(),
               pod.metadata().name(), std::to_string(pod.metadata().attempt()),
               AddressOf(client, pod.id()), Ago(pod.created_at())});
  }
  if (!options.quiet) {
    fmt::print("{}", table.Text());
  }
  return absl::OkStatus();
}

}  // namespace davit::server::cli
