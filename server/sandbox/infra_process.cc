// SPDX-License-Identifier: Apache-2.0
#include "server/sandbox/infra_process.h"

#include <string>

#include "base/file.h"
#include "base/id.h"
#include "base/proc.h"
#include "base/status.h"
#include "server/oci/infra.h"
#include "server/paths.h"
#include "server/sandbox/pod_config.h"
#include "server/spec/spec.h"
#include "server/update.h"
#include "server/workloads.h"

namespace davit::server {
namespace {

// Beside the containers: what it uses counts as the pod's.
std::string InfraCgroup(const Node& node, const Sandbox::Record& record) {
  return node.cgroup_manager.OwnCgroup(record.cgroup(), "infra", record.id());
}

}  // namespace

absl::Status StartInfraProcess(Node& node, Context& ctx, Sandbox& sandbox) {
  const auto record = sandbox.record();
  const Paths paths(node.config.storage.run);
  const auto pin = [&](bool host, const char* kind) {
    return host ? "" : paths.Pin(record->id(), kind);
  };
  const bool host_network = HostNetwork(record->config());
  oci::InfraOptions options;
  options.monitor_path = node.monitor_path;
  options.user_pin = pin(!spec::HasUserNamespace(record->config()), "user");
  options.net_pin = pin(host_network, "net");
  options.uts_pin = pin(host_network, "uts");
  options.ipc_pin = pin(HostIpc(record->config()), "ipc");
  options.pid_pin = paths.Pin(record->id(), "pid");
  auto infra = oci::StartInfra(ctx, options);
  if (!infra.ok()) {
    return Annotate(infra.status(), "start the infra process of sandbox " + ShortId(sandbox.id()));
  }
  RETURN_IF_ERROR(node.cgroup_manager.Adopt(InfraCgroup(node, *record), infra->pid));
  RETURN_IF_ERROR(ConfineToWorkload(node.config.runtime, record->config(), infra->pid));
  // Should this fail, or the daemon die here: StopInfra finds the process by its pinned namespace.
  return Update(node, sandbox, [&infra](auto& next) {
    next.set_infra_pid(infra->pid);
    next.set_infra_start_time(infra->start_time);
  });
}

absl::Status StopInfraProcess(Node& node, Context& ctx, Sandbox& sandbox) {
  const auto record = sandbox.record();
  const std::string pin = Paths(node.config.storage.run).Pin(record->id(), "pid");
  if (record->infra_pid() == 0 && !PathExists(pin)) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(
      Annotate(oci::StopInfra(ctx, record->infra_pid(), record->infra_start_time(), pin),
               "stop the infra process of sandbox " + ShortId(sandbox.id())));
  return Update(node, sandbox, [](auto& next) {
    next.set_infra_pid(0);
    next.set_infra_start_time(0);
  });
}

absl::Status RemoveInfraCgroup(const Node& node, const Sandbox::Record& record) {
  if (record.cgroup().empty()) {
    return absl::OkStatus();
  }
  const std::string cgroup = InfraCgroup(node, record);
  return node.cgroup_manager.Exists(cgroup) ? node.cgroup_manager.Remove(cgroup) : absl::OkStatus();
}

bool InfraProcessLives(const Sandbox::Record& record) {
  if (record.infra_pid() == 0) {
    return false;
  }
  const auto start_time = ProcessStartTime(record.infra_pid());
  return start_time.ok() && *start_time == record.infra_start_time();
}

}  // namespace davit::server
