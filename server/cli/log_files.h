// SPDX-License-Identifier: Apache-2.0
//
// A container's log on disk: NAME, which grows, and what the kubelet rotated away: the last one is
// NAME.20060102-150405, older ones have .gz behind that.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit::server::cli {

struct RotatedLog {
  std::string stamp;  // when it was rotated; sorts by time
  std::string path;
  bool compressed = false;
};

// Oldest first. Empty if the directory cannot be read.
std::vector<RotatedLog> RotatedLogs(const std::string& path);

// Whether a last line without a newline is one, or may yet be completed.
enum class LogEnd { kClosed, kGrowing };

// Where the last lines of a file begin.
struct TailStart {
  uint64_t lines = 0;   // found: `wanted`, or all that the file has
  uint64_t offset = 0;  // of their first byte
};
// At least one of a file that is closed.
absl::StatusOr<TailStart> FindTail(int fd, uint64_t wanted, LogEnd end);

// Lines of a compressed file, as far as it can be read; one that breaks off counts.
uint64_t CountCompressedLines(int fd);

}  // namespace davit::server::cli
