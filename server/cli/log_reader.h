// SPDX-License-Identifier: Apache-2.0
//
// Reads CRI log files: `<RFC 3339 with nanoseconds> <stdout|stderr> <P|F> <text>`. A line that is
// not of this form is shown as it is, never an error: a log is what it is.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "base/fd.h"
#include "image/decompress.h"
#include "server/cli/log_files.h"

namespace davit::server::cli {

struct LogLine {
  int64_t time_ns = 0;
  bool is_stderr = false;
  bool partial = false;
  std::string time_text;
  std::string text;  // without its newline
};

std::optional<LogLine> ParseLogLine(std::string_view line);

// Reads a log in order, from file to file over rotations that were and that happen meanwhile. A
// file is left when there is a later one and it has nothing more: its writer then writes to that.
class LogReader {
 public:
  // From the oldest rotated file on that was written to since then. NotFound if there is no log.
  static absl::StatusOr<LogReader> Open(const std::string& path, int64_t since_ns = INT64_MIN);
  // From so many lines before the end of all.
  static absl::StatusOr<LogReader> OpenTail(const std::string& path, uint64_t lines);

  // Complete lines that are there now; empty at the end. What cannot be decompressed is a line that
  // says so.
  absl::StatusOr<std::vector<std::string>> Next();

 private:
  explicit LogReader(std::string path) : path_(std::move(path)) {}

  // A rotated file, or the growing one.
  absl::Status Enter(const RotatedLog& log);
  absl::Status EnterCurrent();
  absl::Status SeekTail(uint64_t lines);
  // Fills `rest_`; false at the end of the file.
  absl::StatusOr<bool> Read();
  // Goes on with the next file, if there is one.
  bool Advance();
  [[nodiscard]] std::string StampOfOpen() const;
  std::vector<std::string> TakeLines();

  std::string path_;
  UniqueFd fd_;
  std::string stamp_;  // of a rotated file; "" for the growing one
  std::unique_ptr<std::string> unpacked_;
  std::unique_ptr<image::Decompressor> decompressor_;
  bool drained_ = false;  // read to its end since a later file was seen
  uint64_t skip_ = 0;     // lines
  std::string rest_;      // an incomplete last line
};

}  // namespace davit::server::cli
