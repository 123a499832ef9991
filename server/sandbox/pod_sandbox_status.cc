// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/time.h"
#include "server/container/read_rpcs.h"
#include "server/paths.h"
#include "server/sandbox/read_rpcs.h"
#include "server/spec/spec.h"

namespace davit::server {
namespace {

nlohmann::json ResourcesJson(const runtime::v1::LinuxContainerResources& resources) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [name, value] :
       {std::pair("cpuPeriod", resources.cpu_period()),
        std::pair("cpuQuota", resources.cpu_quota()),
        std::pair("cpuShares", resources.cpu_shares()),
        std::pair("memoryLimitInBytes", resources.memory_limit_in_bytes())}) {
    if (value != 0) {
      json[name] = value;
    }
  }
  return json;
}

std::string VerboseInfo(const Node& node, const Sandbox::Record& record) {
  const Paths paths(node.config.storage.run);
  nlohmann::json info = {
      {"pid", record.infra_pid()},
      {"runtimeHandler", record.runtime_handler()},
      {"cgroup", record.cgroup()},
      {"logDirectory", record.log_directory()},
      {"state", davit::state::v1::SandboxState_Name(record.state())},
  };
  for (const auto& [name, resources] :
       {std::pair("resources", &record.config().linux().resources()),
        std::pair("overhead", &record.config().linux().overhead())}) {
    info[name] = ResourcesJson(*resources);
  }
  const auto network = record.config().linux().security_context().namespace_options().network();
  if (network != runtime::v1::NODE) {
    info["netns"] = paths.Pin(record.id(), "net");
  }
  if (spec::HasUserNamespace(record.config())) {
    info["userns"] = paths.Pin(record.id(), "user");
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

runtime::v1::PodSandboxStatus StatusOf(const davit::state::v1::SandboxRecord& record) {
  runtime::v1::PodSandboxStatus status;
  status.set_id(record.id());
  *status.mutable_metadata() = record.config().metadata();
  status.set_state(ToCriState(record.state()));
  status.set_created_at(record.created_at());
  FillNetwork(record, *status.mutable_network());
  *status.mutable_linux()->mutable_namespaces()->mutable_options() =
      record.config().linux().security_context().namespace_options();
  *status.mutable_labels() = record.config().labels();
  *status.mutable_annotations() = record.config().annotations();
  status.set_runtime_handler(record.runtime_handler());
  return status;
}

absl::StatusOr<runtime::v1::PodSandboxStatusResponse> PodSandboxStatus(
    Node& node, Context& /*ctx*/, const runtime::v1::PodSandboxStatusRequest& request) {
  ASSIGN_OR_RETURN(const auto sandbox, node.sandboxes.Find(request.pod_sandbox_id()));
  const auto record = sandbox->record();
  runtime::v1::PodSandboxStatusResponse response;
  *response.mutable_status() = StatusOf(*record);
  // Before the containers are looked at: what has changed after it comes as an event.
  response.set_timestamp(NowNanos());
  *response.mutable_containers_statuses() = ContainerStatusesOf(node, record->id());
  if (request.verbose()) {
    (*response.mutable_info())["info"] = VerboseInfo(node, *record);
  }
  return response;
}

}  // namespace davit::server
