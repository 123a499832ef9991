// SPDX-License-Identifier: Apache-2.0
//
// What the monitor leaves behind: the exit file (see protocol.h).
#pragma once

#include <stdint.h>

namespace davit::conmon {

struct ExitRecord {
  int status = 0;  // as wait(2) gives it
  uint64_t oom_kills = 0;
  uint64_t finished_ns = 0;
  uint64_t dropped_lines = 0;
  uint64_t dropped_bytes = 0;
  uint64_t journal_lost = 0;
};

// Written beside and renamed, in the current directory. Returns an errno.
int WriteExitFile(const ExitRecord& record);

}  // namespace davit::conmon
