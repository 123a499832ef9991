// SPDX-License-Identifier: Apache-2.0
#include "server/container/monitor_cgroup.h"

#include <string>

#include "base/status.h"

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
  return cgroup.empty() ? absl::OkStatus() : node.cgroup_manager.Adopt(cgroup, monitor);
}

absl::Status RemoveMonitorCgroup(const Node& node, const Container::Record& record) {
  const auto cgroup = MonitorCgroup(node, record);
  if (!cgroup.ok() || cgroup->empty() || !node.cgroup_manager.Exists(*cgroup)) {
    return absl::OkStatus();  // with its pod, or by systemd when it became empty
  }
  return node.cgroup_manager.Remove(*cgroup);
}

}  // namespace davit::server
