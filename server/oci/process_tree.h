// SPDX-License-Identifier: Apache-2.0
//
// Killing a process with everything below it, without letting anything slip away: all are stopped
// first, from the top down, so that none can fork or leave orphans behind while the rest is found.
#pragma once

#include <sys/types.h>

#include "absl/status/status.h"

namespace davit::server::oci {

enum class TreeRoot { kKill, kOnlyStop };

// Returns when all are dead (the root, if a child of ours, is then still to be waited for).
// kOnlyStop leaves the root stopped: a reaper that collects orphans must outlive them. A root that
// is gone is success; DeadlineExceeded if something does not die within some seconds.
absl::Status KillTree(pid_t root, TreeRoot treatment);

}  // namespace davit::server::oci
