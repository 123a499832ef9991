// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "server/paths.h"
#include "server/sandbox/read_rpcs.h"

namespace davit::server {
namespace {

std::string VerboseInfo(const Node& node, const Sandbox::Record& record) {
  const Paths paths(node.config.storage.run);
  nlohmann::json info = {
      {"pid", record.infra_pid()},
      {"runtimeHandler", record.runtime_handler()},
      {"cgroup", record.cgroup()},
      {"logDirectory", record.log_directory()},
      {"state", davit::state::v1::SandboxState_Name(record.state())},
  };
  const auto network = record.config().linux().security_context().namespace_options().network();
  if (network != runtime::v1::NODE) {
    info["netns"] = paths.Pin(record.id(), "net");
  }
  if (auto result = ParseJson(record.cni_result(), "CNI result"); result.ok()) {
    info["cniResult"] = *std::move(result);
  }
  return DumpJson(info);
}

void FillNetwork(const Sandbox::Record& record, runtime::v1::PodSandboxNetworkStatus& network) {
  for (int i = 0; i < record.ips_size(); ++i) {
    if (i == 0) {
      network.set_ip(record.ips(i));
    } else {
      network.add_additional_ips()->set_ip(record.ips(i));
    }
  }
}

}  // namespace

runtime::v1::PodSandboxState ToCriState(davit::state::v1::SandboxState state) {
  return state == davit::state::v1::SANDBOX_READY ? runtime::v1::SANDBOX_READY
                                                  : runtime::v1::SANDBOX_NOTREADY;
}

bool Visible(const davit::state::v1::SandboxRecord& record) {
  return record.state() != davit::state::v1::SANDBOX_CREATING;
}

absl::StatusOr<runtime::v1::PodSandboxStatusResponse> PodSandboxStatus(
    Node& node, Context& /*ctx*/, const runtime::v1::PodSandboxStatusRequest& request) {
  ASSIGN_OR_RETURN(const auto sandbox, node.sandboxes.Find(request.pod_sandbox_id()));
  const auto record = sandbox->record();
  runtime::v1::PodSandboxStatusResponse response;
  auto& status = *response.mutable_status();
  status.set_id(record->id());
  *status.mutable_metadata() = record->config().metadata();
  status.set_state(ToCriState(record->state()));
  status.set_created_at(record->created_at());
  FillNetwork(*record, *status.mutable_network());
  *status.mutable_linux()->mutable_namespaces()->mutable_options() =
      record->config().linux().security_context().namespace_options();
  *status.mutable_labels() = record->config().labels();
  *status.mutable_annotations() = record->config().annotations();
  status.set_runtime_handler(record->runtime_handler());
  if (request.verbose()) {
    (*response.mutable_info())["info"] = VerboseInfo(node, *record);
  }
  return response;
}

}  // namespace davit::server
