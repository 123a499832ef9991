// SPDX-License-Identifier: Apache-2.0
#include "conmon/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "conmon/batch.h"
#include "conmon/log_format.h"

namespace davit::conmon {
namespace {

constexpr size_t kReadSize = 64U << 10U;

}  // namespace

int Stream::Open(const char* name, Fd source, size_t max_line) {
  const size_t page = 4096;
  capacity_ = (max_line + 1 > kReadSize ? max_line + 1 + page - 1 : kReadSize) & ~(page - 1);
  void* memory = mmap(nullptr, capacity_ + Batch::kScratch, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return errno;
  }
  name_ = name;
  source_ = static_cast<Fd&&>(source);
  buffer_ = static_cast<char*>(memory);
  max_line_ = max_line;
  return 0;
}

Stream::~Stream() {
  if (buffer_ != nullptr) {
    munmap(buffer_, capacity_ + Batch::kScratch);
  }
}

Text Stream::Read(Log& log) {
  memmove(buffer_, buffer_ + begin_, held_);
  begin_ = 0;
  char* const fresh = buffer_ + held_;
  const ssize_t count = read(source_.get(), fresh, capacity_ - held_);
  if (count < 0 && errno == EAGAIN) {
    return "";
  }
  if (count <= 0) {  // EIO is how a terminal ends
    Close(log);
    return "";
  }
  held_ += static_cast<size_t>(count);
  warm_ = true;
  last_read_ms_ = MonotonicMs();
  LogWhole(log);
  return {fresh, static_cast<size_t>(count)};
}

void Stream::LogWhole(Log& log) {
  Batch batch(log, name_, buffer_ + capacity_);
  if (!within_line_ && log.Recovered(gap_.why, last_read_ms_)) {
    CloseGap(log, batch);
  }
  Entry entry = {{"", 0}, false};
  while (NextEntry({buffer_ + begin_, held_}, max_line_, &entry)) {
    LogEntry(log, batch, entry);
    begin_ += EntrySpan(entry);
    held_ -= EntrySpan(entry);
  }
}

void Stream::LogEntry(Log& log, Batch& batch, const Entry& entry) {
  const Refusal refusal =
      gap_.why != Refusal::kNone ? gap_.why : log.Admit(batch.SizeOf(entry), last_read_ms_);
  if (refusal == Refusal::kNone) {
    batch.Add(entry);
  } else {
    LeaveOut(log, batch, entry, refusal);
  }
  within_line_ = !entry.full;
}

void Stream::LeaveOut(Log& log, Batch& batch, const Entry& entry, Refusal why) {
  if (gap_.why == Refusal::kNone) {
    if (within_line_) {
      batch.AddNote("");  // ends the line that is in the log already
    }
    if (why == Refusal::kSize) {
      FixedText<160> note;
      note << "davit: this log has reached its limit of " << log.max_size()
           << " bytes: lines are left out until it is rotated";
      batch.AddNote(note.text());
    }
    gap_.why = why;
  }
  const uint64_t lines = entry.full ? 1 : 0;
  gap_.lines += lines;
  gap_.bytes += EntrySpan(entry);
  log.CountRefused(lines, EntrySpan(entry));
}

void Stream::CloseGap(Log& log, Batch& batch) {
  if (gap_.why == Refusal::kNone) {
    return;
  }
  FixedText<160> note;
  note << "davit: " << gap_.lines << " lines (" << gap_.bytes << " bytes) left out: ";
  if (gap_.why == Refusal::kRate) {
    note << "over the limit of " << log.rate() << " bytes a second";
  } else {
    note << "the log was at its limit of " << log.max_size() << " bytes";
  }
  batch.AddNote(note.text());
  gap_ = {};
}

void Stream::LogHeld(Log& log) {
  Batch batch(log, name_, buffer_ + capacity_);
  if (held_ > 0) {
    LogEntry(log, batch, {{buffer_ + begin_, held_}, false});
  }
  begin_ = 0;
  held_ = 0;
  if (!within_line_ && log.Recovered(gap_.why, MonotonicMs())) {
    CloseGap(log, batch);
  }
}

void Stream::Rest(Log& log) {
  LogHeld(log);
  madvise(buffer_, capacity_ + Batch::kScratch, MADV_DONTNEED);
  warm_ = false;
}

void Stream::Close(Log& log) {
  if (!source_.valid()) {
    return;
  }
  Rest(log);
  Batch batch(log, name_, buffer_ + capacity_);
  if (gap_.why != Refusal::kNone) {
    const uint64_t open_line = within_line_ ? 1 : 0;
    gap_.lines += open_line;
    log.CountRefused(open_line, 0);
    CloseGap(log, batch);
  }
  source_.Reset();
}

}  // namespace davit::conmon
