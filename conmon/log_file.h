// SPDX-License-Identifier: Apache-2.0
//
// The container's log file. A write that fails (no space, vanished disk) never holds up the
// container: entries are dropped and counted until writing works again. Root owns the directory,
// but the file itself is never followed through a symlink and must be a regular file.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "conmon/sys.h"

namespace davit::conmon {

class LogFile {
 public:
  // "": everything is dropped, uncounted. The path is borrowed. Returns an errno.
  int Open(const char* path);
  // Opens the path anew (after a rotation); the old file stays in use if that fails.
  int Reopen();

  // Appends whole entries, each of which has one newline, at its end. Uses the array up.
  void Append(iovec* parts, size_t count);

  [[nodiscard]] bool discards() const { return path_[0] == '\0'; }
  // Bytes in the file, as far as this monitor wrote them; MeasureSize asks the kernel, for others
  // may have truncated it.
  [[nodiscard]] uint64_t size() const { return size_; }
  void MeasureSize();
  [[nodiscard]] uint64_t dropped_lines() const { return dropped_lines_; }
  [[nodiscard]] uint64_t dropped_bytes() const { return dropped_bytes_; }

 private:
  bool Ready();

  const char* path_ = "";
  Fd file_;
  bool torn_ = false;  // the file ends within an entry
  int64_t next_open_ms_ = 0;
  uint64_t size_ = 0;
  uint64_t dropped_lines_ = 0;
  uint64_t dropped_bytes_ = 0;
};

}  // namespace davit::conmon
