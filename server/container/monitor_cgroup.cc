// SPDX-License-Identifier: Apache-2.0
#include "server/container/monitor_cgroup.h"

#include <string>

#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "server/workloads.h"

namespace davit::server {
namespace {

// "" for the daemon's own.
absl::StatusOr<std::string> MonitorCgroup(const Node& node, const Container::Record& record) {
  std::string parent = node.config.runtime.monitor_cgroup;
  if (parent == config::kMonitorInPod) {
    ASSIGN_OR_RETURN(const auto sandbox, node.sandboxes.Find(record.sandbox_id()));
    parent = sandbox->record()->cgroup();
  }
  return parent.empty() ? parent : node.cgroup_manager.OwnCgroup(parent, "monitor", record.id());
}

}  // namespace

absl::Status PlaceMonitor(const Node& node, const Container::Record& record, pid_t monitor) {
  ASSIGN_OR_RETURN(const std::string cgroup, MonitorCgroup(node, record));
  if (!cgroup.empty()) {
    RETURN_IF_ERROR(node.cgroup_manager.Adopt(cgroup, monitor));
  }
  // Not before: kernels before 6.2 forget the affinity of who enters a cpuset.
  ConfineMonitor(node, record, monitor);
  return absl::OkStatus();
}

void ConfineMonitor(const Node& node, const Container::Record& record, pid_t monitor) {
  if (node.config.runtime.workloads.empty()) {
    return;
  }
  const auto sandbox = node.sandboxes.Find(record.sandbox_id());
  const absl::Status confined =
      sandbox.ok() ? ConfineToWorkload(node.config.runtime, (*sandbox)->record()->config(), monitor)
                   : sandbox.status();
  log::IfError(confined, "keep the monitor of container " + ShortId(record.id()) +
                             " on the CPUs of its workload");
}

absl::Status RemoveMonitorCgroup(const Node& node, const Container::Record& record) {
  const auto cgroup = MonitorCgroup(node, record);
  if (!cgroup.ok() || cgroup->empty() || !node.cgroup_manager.Exists(*cgroup)) {
    return absl::OkStatus();  // with its pod, or by systemd when it became empty
  }
  return node.cgroup_manager.Remove(*cgroup);
}

}  // namespace davit::server
