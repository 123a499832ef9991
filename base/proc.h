// SPDX-License-Identifier: Apache-2.0
//
// Facts from /proc about processes and the host.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"

namespace davit {

// Field 22 of /proc/PID/stat in clock ticks: with the pid it names a process uniquely in one boot.
absl::StatusOr<uint64_t> ProcessStartTime(pid_t pid);
// Direct children (from /proc/PID/task/*/children).
std::vector<pid_t> ChildrenOf(pid_t pid);
// Processes whose session is `session` (a scan of /proc: for rare use).
std::vector<pid_t> SessionMembers(pid_t session);
// The lowest oom_score_adj that the daemon may set for a child: its own value if it lacks
// CAP_SYS_RESOURCE, else -1000.
int LowestOomScoreAdj();

}  // namespace davit
