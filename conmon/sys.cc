// SPDX-License-Identifier: Apache-2.0
#include "conmon/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

namespace davit::conmon {

timespec WallClock() {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

int64_t MonotonicMs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
}

ssize_t ReadAll(int fd, char* buffer, size_t capacity) {
  size_t size = 0;
  while (size < capacity) {
    const ssize_t count = pread(fd, buffer + size, capacity - size, static_cast<off_t>(size));
    if (count < 0) {
      return -1;
    }
    if (count == 0) {
      break;
    }
    size += static_cast<size_t>(count);
  }
  return static_cast<ssize_t>(size);
}

bool WriteAll(int fd, Text data) {
  while (data.size > 0) {
    const ssize_t count = write(fd, data.data, data.size);
    if (count < 0) {
      return false;
    }
    data.data += count;
    data.size -= static_cast<size_t>(count);
  }
  return true;
}

int WriteFile(const char* path, Text data) {
  const Fd file(open(path, O_WRONLY | O_CLOEXEC));
  return file.valid() && WriteAll(file.get(), data) ? 0 : errno;
}

bool ReadNumberFile(const char* path, uint64_t* value) {
  const Fd file(open(path, O_RDONLY | O_CLOEXEC));
  char buffer[32];
  const ssize_t size = file.valid() ? ReadAll(file.get(), buffer, sizeof(buffer)) : -1;
  return size > 0 && ParseNumber({buffer, static_cast<size_t>(size)}, value);
}

uint64_t StartTimeOf(pid_t pid) {
  FixedText<40> path;
  path << "/proc/" << static_cast<uint64_t>(pid) << "/stat";
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[512];
  const ssize_t size = file.valid() ? ReadAll(file.get(), buffer, sizeof(buffer)) : -1;
  uint64_t value = 0;
  return size > 0 && StatField({buffer, static_cast<size_t>(size)}, 22, &value) ? value : 0;
}

int PinToCpu(pid_t thread, uint64_t cpu) {
  constexpr uint64_t kBitsOfWord = sizeof(unsigned long) * 8;
  unsigned long mask[kMaxCpus / kBitsOfWord] = {};
  if (cpu >= kMaxCpus) {
    return EINVAL;
  }
  mask[cpu / kBitsOfWord] = 1UL << (cpu % kBitsOfWord);
  return syscall(SYS_sched_setaffinity, thread, sizeof(mask), mask) == 0 ? 0 : errno;
}

void CloseFrom(int first) {
  syscall(SYS_close_range, first, ~0U, 0);
}

void CloseFromBut(int first, const uint64_t* keep, size_t count) {
  auto from = static_cast<uint64_t>(first);
  while (true) {
    uint64_t next = UINT64_MAX;  // the first that stays
    for (size_t i = 0; i < count; ++i) {
      next = keep[i] >= from && keep[i] < next ? keep[i] : next;
    }
    if (next == UINT64_MAX) {
      break;
    }
    if (next > from) {
      syscall(SYS_close_range, from, next - 1, 0);
    }
    from = next + 1;
  }
  CloseFrom(static_cast<int>(from));
}

bool SetNonBlocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

}  // namespace davit::conmon
