// SPDX-License-Identifier: Apache-2.0
//
// What the processes of a container have open, from procfs.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace davit::server {

struct ProcessCounts {
  uint64_t descriptors = 0;
  uint64_t sockets = 0;
};
// Processes that end meanwhile count for nothing.
ProcessCounts CountOpen(const std::vector<int>& pids);

// RLIMIT_NOFILE of the process, the soft one; nothing if it is gone or unlimited.
std::optional<uint64_t> OpenFilesLimit(pid_t pid);

}  // namespace davit::server
