// SPDX-License-Identifier: Apache-2.0
//
// Reads CRI log files: `<RFC 3339 with nanoseconds> <stdout|stderr> <P|F> <text>`. A line that is
// not of this form is shown as it is, never an error: a log is what it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit::server::cli {

struct LogLine {
  int64_t time_ns = 0;
  bool is_stderr = false;
  bool partial = false;
  std::string time_text;
  std::string text;  // without its newline
};

std::optional<LogLine> ParseLogLine(std::string_view line);

// Follows one path over rotations: when the file at the path is another than the open one, what is
// left of the old one is read first.
class LogReader {
 public:
  static absl::StatusOr<LogReader> Open(const std::string& path);

  // Complete lines that are there now; empty at the end.
  absl::StatusOr<std::vector<std::string>> Next();
  // True if the path now names another file; that one is open afterwards.
  bool Reopen();

 private:
  explicit LogReader(std::string path) : path_(std::move(path)) {}
  std::string path_;
  UniqueFd fd_;
  uint64_t inode_ = 0;
  std::string rest_;  // an incomplete last line
};

}  // namespace davit::server::cli
