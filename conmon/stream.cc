// SPDX-License-Identifier: Apache-2.0
#include "conmon/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "conmon/log_format.h"

namespace davit::conmon {
namespace {

constexpr size_t kReadSize = 64U << 10U;
constexpr size_t kPartsPerEntry = 3;
constexpr size_t kMaxParts = 256;  // for one writev: the array is on the stack

char newline[] = "\n";

// Collects entries and writes them in batches. All entries of one read carry one time.
class Batch {
 public:
  Batch(LogFile& log, Text stream) : Batch(log, stream, WallClock()) {}
  ~Batch() { Write(); }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  void Add(const Entry& entry) {
    const Text header = entry.full ? full_.text() : partial_.text();
    Part(header.data, header.size);
    // A full entry's newline stands behind its content in the buffer already.
    Part(entry.content.data, EntrySpan(entry));
    if (!entry.full) {
      Part(newline, 1);
    }
    if (count_ > kMaxParts - kPartsPerEntry) {
      Write();
    }
  }

 private:
  Batch(LogFile& log, Text stream, const timespec& now)
      : log_(log), full_(now, stream, true), partial_(now, stream, false) {}

  void Part(const char* data, size_t size) { parts_[count_++] = {const_cast<char*>(data), size}; }
  void Write() {
    if (count_ > 0) {
      log_.Append(parts_, count_);
    }
    count_ = 0;
  }

  LogFile& log_;
  const EntryHeader full_;
  const EntryHeader partial_;
  iovec parts_[kMaxParts];
  size_t count_ = 0;
};

}  // namespace

int Stream::Open(const char* name, Fd source, size_t max_line) {
  const size_t page = 4096;
  capacity_ = (max_line + 1 > kReadSize ? max_line + 1 + page - 1 : kReadSize) & ~(page - 1);
  void* memory = mmap(nullptr, capacity_, PROT_READ | PROT_WRITE,
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

void Stream::Read(LogFile& log) {
  const ssize_t count = read(source_.get(), buffer_ + held_, capacity_ - held_);
  if (count < 0 && errno == EAGAIN) {
    return;
  }
  if (count <= 0) {  // EIO is how a terminal ends
    Close(log);
    return;
  }
  held_ += static_cast<size_t>(count);
  warm_ = true;
  last_read_ms_ = MonotonicMs();
  LogWhole(log);
}

void Stream::LogWhole(LogFile& log) {
  size_t done = 0;
  {
    Batch batch(log, name_);
    Entry entry = {{"", 0}, false};
    while (NextEntry({buffer_ + done, held_ - done}, max_line_, &entry)) {
      batch.Add(entry);
      done += EntrySpan(entry);
    }
  }
  held_ -= done;
  memmove(buffer_, buffer_ + done, held_);
}

void Stream::LogHeld(LogFile& log) {
  if (held_ > 0) {
    Batch(log, name_).Add({{buffer_, held_}, false});
    held_ = 0;
  }
}

void Stream::Rest(LogFile& log) {
  LogHeld(log);
  madvise(buffer_, capacity_, MADV_DONTNEED);
  warm_ = false;
}

void Stream::Close(LogFile& log) {
  if (source_.valid()) {
    Rest(log);
    source_.Reset();
  }
}

}  // namespace davit::conmon
