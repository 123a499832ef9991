// SPDX-License-Identifier: Apache-2.0
//
// One output of the container (a pipe, or the terminal) on its way into the log. Holds the
// beginning of a line until the rest comes, the line is too long, or half a second has passed. Its
// buffer is mapped once and given back to the kernel while the container is silent.
//
// Where the log has limits, whole lines are left out, and a full entry in their place says how many
// and why. A line that meets the limit halfway ends there.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "conmon/log.h"
#include "conmon/sys.h"
#include "conmon/text.h"

namespace davit::conmon {

class Batch;

class Stream {
 public:
  Stream() = default;
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // `name`: "stdout" or "stderr". Takes the (non-blocking) descriptor. Returns an errno.
  int Open(const char* name, Fd source, size_t max_line);

  [[nodiscard]] bool open() const { return source_.valid(); }
  [[nodiscard]] int fd() const { return source_.get(); }

  // Reads once and logs what is whole; what was read, which stays in place until the next Read,
  // Rest or Close. At the end of the stream it closes itself.
  Text Read(Log& log);
  // Logs what is held and closes.
  void Close(Log& log);

  // True from a read until Rest: somebody must call Rest when nothing came for a while.
  [[nodiscard]] bool warm() const { return warm_; }
  [[nodiscard]] int64_t last_read_ms() const { return last_read_ms_; }
  // Logs what is held as a partial line and gives the buffer's pages back.
  void Rest(Log& log);

 private:
  // Lines in a row that the log did not take.
  struct Gap {
    Refusal why = Refusal::kNone;
    uint64_t lines = 0;
    uint64_t bytes = 0;
  };

  void LogWhole(Log& log);
  void LogHeld(Log& log);
  void LogEntry(Log& log, Batch& batch, const Entry& entry);
  void LeaveOut(Log& log, Batch& batch, const Entry& entry, Refusal why);
  void CloseGap(Log& log, Batch& batch);

  const char* name_ = "";
  Fd source_;
  char* buffer_ = nullptr;  // and behind its capacity, the scratch of batches
  size_t capacity_ = 0;
  size_t begin_ = 0;  // of what is held
  size_t held_ = 0;
  size_t max_line_ = 0;
  bool warm_ = false;
  int64_t last_read_ms_ = 0;

  bool within_line_ = false;  // the last entry that came was a partial one
  Gap gap_;
};

}  // namespace davit::conmon
