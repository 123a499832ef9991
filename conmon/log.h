// SPDX-License-Identifier: Apache-2.0
//
// Where a container's output goes: its log file, within the limits that it has, and the journal.
// Shared by both outputs.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "conmon/journal.h"
#include "conmon/log_file.h"
#include "conmon/rate_limit.h"

namespace davit::conmon {

// Why lines are not in the log.
enum class Refusal { kNone, kRate, kSize };

class Log {
 public:
  LogFile file;
  Journal journal;

  // Bytes a second, and of the file; 0: no limit.
  void Limit(uint64_t rate, uint64_t size);
  [[nodiscard]] uint64_t rate() const { return rate_; }
  [[nodiscard]] uint64_t max_size() const { return max_size_; }

  // Whether an entry of so many bytes may be logged now; counts it if so.
  Refusal Admit(size_t bytes, int64_t now_ms);
  // What was admitted has been given to the file.
  void Flushed() { unwritten_ = 0; }
  // Whether lines refused for this reason would be admitted again.
  bool Recovered(Refusal refusal, int64_t now_ms);

  // Lines that Admit has kept out.
  void CountRefused(uint64_t lines, uint64_t bytes);
  // Those and what could not be written.
  [[nodiscard]] uint64_t dropped_lines() const { return refused_lines_ + file.dropped_lines(); }
  [[nodiscard]] uint64_t dropped_bytes() const { return refused_bytes_ + file.dropped_bytes(); }

 private:
  RateLimit limit_;
  uint64_t rate_ = 0;
  uint64_t max_size_ = 0;
  uint64_t unwritten_ = 0;  // bytes admitted that the file's size does not tell yet
  uint64_t refused_lines_ = 0;
  uint64_t refused_bytes_ = 0;
};

}  // namespace davit::conmon
