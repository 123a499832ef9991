// SPDX-License-Identifier: Apache-2.0
//
// The little that the monitor needs of the operating system: an owned descriptor, clocks, small
// files. Errors are errno values, 0 for success.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "conmon/text.h"

namespace davit::conmon {

// Owns one descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.Release()) {}
  Fd& operator=(Fd&& other) noexcept {
    Reset(other.Release());
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { Reset(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  int Release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Reset(int fd = -1) {
    if (fd_ >= 0) {
      close(fd_);
    }
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

timespec WallClock();
int64_t MonotonicMs();

// Reads from offset 0 to the end or until `capacity`; the count, or -1.
ssize_t ReadAll(int fd, char* buffer, size_t capacity);
bool WriteAll(int fd, Text data);
int WriteFile(const char* path, Text data);
// A small file as one decimal number.
bool ReadNumberFile(const char* path, uint64_t* value);
// Field 22 of /proc/PID/stat, 0 if there is no such process. A zombie still has it.
uint64_t StartTimeOf(pid_t pid);

inline constexpr uint64_t kMaxCpus = 8192;  // the largest NR_CPUS that the kernel can be built with
// Keeps a thread (0: the caller) on one CPU, if its cpuset has it (else EINVAL).
int PinToCpu(pid_t thread, uint64_t cpu);

// Closes all descriptors from `first` on.
void CloseFrom(int first);
// The same without these, of which any may be UINT64_MAX: none.
void CloseFromBut(int first, const uint64_t* keep, size_t count);
bool SetNonBlocking(int fd);

}  // namespace davit::conmon
