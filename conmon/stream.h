// SPDX-License-Identifier: Apache-2.0
//
// One output of the container (a pipe, or the terminal) on its way into the log. Holds the
// beginning of a line until the rest comes, the line is too long, or half a second has passed. Its
// buffer is mapped once and given back to the kernel while the container is silent.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "conmon/log_file.h"
#include "conmon/sys.h"
#include "conmon/text.h"

namespace davit::conmon {

class Stream {
 public:
  // `name`: "stdout" or "stderr". Takes the (non-blocking) descriptor. Returns an errno.
  int Open(const char* name, Fd source, size_t max_line);

  [[nodiscard]] bool open() const { return source_.valid(); }
  [[nodiscard]] int fd() const { return source_.get(); }

  // Reads once and logs what is whole. At the end of the stream it closes itself.
  void Read(LogFile& log);
  // Logs what is held and closes.
  void Close(LogFile& log);

  // True from a read until Rest: somebody must call Rest when nothing came for a while.
  [[nodiscard]] bool warm() const { return warm_; }
  [[nodiscard]] int64_t last_read_ms() const { return last_read_ms_; }
  // Logs what is held as a partial line and gives the buffer's pages back.
  void Rest(LogFile& log);

 private:
  void LogWhole(LogFile& log);
  void LogHeld(LogFile& log);

  const char* name_ = "";
  Fd source_;
  char* buffer_ = nullptr;
  size_t capacity_ = 0;
  size_t held_ = 0;
  size_t max_line_ = 0;
  bool warm_ = false;
  int64_t last_read_ms_ = 0;
};

}  // namespace davit::conmon
