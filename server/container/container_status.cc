// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "server/container/forbidden_calls.h"
#include "server/container/read_rpcs.h"
#include "server/paths.h"

namespace davit::server {
namespace {

namespace sv1 = davit::state::v1;

// crictl and the conformance suite read `info.pid`, `info.runtimeSpec` and `info.sandboxID`.
std::string VerboseInfo(const Node& node, const Container::Record& record) {
  nlohmann::json info = {
      {"sandboxID", record.sandbox_id()},
      {"pid", record.pid()},
      {"monitorPid", record.monitor_pid()},
      {"runtimeType", record.handler()},
      {"privileged", record.config().linux().security_context().privileged()},
      {"cgroup", record.cgroup()},
      {"state", sv1::ContainerState_Name(record.state())},
  };
  if (const auto calls = ForbiddenCallsOf(node, record); !calls.empty()) {
    info["forbiddenSystemCalls"] = calls;
  }
  const Paths paths(node.config.storage.run);
  if (auto text = ReadFile(paths.SpecFile(record.id())); text.ok()) {
    if (auto spec = ParseJson(*text, "OCI spec"); spec.ok()) {
      info["runtimeSpec"] = *std::move(spec);
    }
  }
  return DumpJson(info);
}

void FillResources(const Container::Record& record, runtime::v1::ContainerResources& resources) {
  *resources.mutable_linux() = record.config().linux().resources();
}

}  // namespace

runtime::v1::ContainerState ToCriState(sv1::ContainerState state) {
  switch (state) {
    case sv1::CONTAINER_CREATED:
    case sv1::CONTAINER_STARTING:
      return runtime::v1::CONTAINER_CREATED;
    case sv1::CONTAINER_RUNNING:
      return runtime::v1::CONTAINER_RUNNING;
    case sv1::CONTAINER_EXITED:
    case sv1::CONTAINER_REMOVING:
      return runtime::v1::CONTAINER_EXITED;
    default:
      return runtime::v1::CONTAINER_UNKNOWN;
  }
}

bool Visible(const sv1::ContainerRecord& record) {
  return record.state() != sv1::CONTAINER_CREATING;
}

runtime::v1::ContainerStatus StatusOf(const sv1::ContainerRecord& record) {
  runtime::v1::ContainerStatus status;
  status.set_id(record.id());
  *status.mutable_metadata() = record.config().metadata();
  status.set_state(ToCriState(record.state()));
  status.set_created_at(record.created_at());
  status.set_started_at(record.started_at());
  status.set_finished_at(record.finished_at());
  status.set_exit_code(record.exit_code());
  *status.mutable_image() = record.config().image();
  status.set_image_ref(record.image_ref());
  status.set_image_id(record.image_id());
  status.set_reason(record.reason());
  status.set_message(record.message());
  *status.mutable_labels() = record.config().labels();
  *status.mutable_annotations() = record.config().annotations();
  *status.mutable_mounts() = record.config().mounts();
  status.set_log_path(record.log_path());
  FillResources(record, *status.mutable_resources());
  *status.mutable_user() = record.user();
  status.set_stop_signal(record.stop_signal());
  return status;
}

ContainerStatuses ContainerStatusesOf(const Node& node, const std::string& sandbox_id) {
  ContainerStatuses statuses;
  for (const auto& container : node.containers.ListOf(sandbox_id)) {
    if (const auto record = container->record(); Visible(*record)) {
      *statuses.Add() = StatusOf(*record);
    }
  }
  return statuses;
}

absl::StatusOr<runtime::v1::ContainerStatusResponse> ContainerStatus(
    Node& node, Context& /*ctx*/, const runtime::v1::ContainerStatusRequest& request) {
  ASSIGN_OR_RETURN(const auto container, node.containers.Find(request.container_id()));
  const auto record = container->record();
  runtime::v1::ContainerStatusResponse response;
  *response.mutable_status() = StatusOf(*record);
  if (request.verbose()) {
    (*response.mutable_info())["info"] = VerboseInfo(node, *record);
  }
  return response;
}

}  // namespace davit::server
