// SPDX-License-Identifier: Apache-2.0
//
// Where the monitor of a container runs: runtime.monitor_cgroup.
#pragma once

#include <sys/types.h>

#include "absl/status/status.h"

#include "server/node.h"
#include "server/store.h"

namespace davit::server {

// A monitor begins in the daemon's cgroup and on its CPUs, and is moved once it runs.
absl::Status PlaceMonitor(const Node& node, const Container::Record& record, pid_t monitor);
// A monitor of an exec stays in the daemon's cgroup; it goes to the CPUs of the pod's workload, as
// the others do. Failures are logged: what it watches runs.
void ConfineMonitor(const Node& node, const Container::Record& record, pid_t monitor);
// After its end. Missing is success.
absl::Status RemoveMonitorCgroup(const Node& node, const Container::Record& record);

}  // namespace davit::server
