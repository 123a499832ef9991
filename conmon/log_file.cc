// SPDX-License-Identifier: Apache-2.0
#include "conmon/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

namespace davit::conmon {
namespace {

constexpr int64_t kOpenRetryMs = 1000;

int OpenRegular(const char* path, Fd* file) {
  // O_NONBLOCK: a FIFO in the place of the file must not hang the monitor.
  Fd fresh(open(
      path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0640));
  if (!fresh.valid()) {
    return errno;
  }
  struct stat status = {};
  if (fstat(fresh.get(), &status) != 0) {
    return errno;
  }
  if (!S_ISREG(status.st_mode)) {
    return EINVAL;
  }
  *file = static_cast<Fd&&>(fresh);
  return 0;
}

// Takes `written` bytes off the front; the last of them.
char Advance(iovec*& parts, size_t& count, size_t written) {
  char last = '\n';
  while (count > 0 && written > 0) {
    const size_t step = written < parts->iov_len ? written : parts->iov_len;
    auto* base = static_cast<char*>(parts->iov_base);
    if (step > 0) {
      last = base[step - 1];
    }
    written -= step;
    parts->iov_base = base + step;
    parts->iov_len -= step;
    if (parts->iov_len == 0) {
      ++parts;
      --count;
    }
  }
  return last;
}

}  // namespace

int LogFile::Open(const char* path) {
  path_ = path;
  return discards() ? 0 : Reopen();
}

int LogFile::Reopen() {
  if (discards()) {
    return 0;
  }
  const int error = OpenRegular(path_, &file_);
  if (error == 0) {
    torn_ = false;
    MeasureSize();
  } else {
    next_open_ms_ = MonotonicMs() + kOpenRetryMs;
  }
  return error;
}

void LogFile::MeasureSize() {
  struct stat status = {};
  size_ = fstat(file_.get(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

bool LogFile::Ready() {
  if (!file_.valid() && (MonotonicMs() < next_open_ms_ || Reopen() != 0)) {
    return false;
  }
  if (torn_) {
    torn_ = write(file_.get(), "\n", 1) != 1;
  }
  return !torn_;
}

void LogFile::Append(iovec* parts, size_t count) {
  if (discards()) {
    return;
  }
  if (Ready()) {
    while (count > 0) {
      const ssize_t written = writev(file_.get(), parts, static_cast<int>(count));
      if (written <= 0) {
        break;
      }
      size_ += static_cast<uint64_t>(written);
      torn_ = Advance(parts, count, static_cast<size_t>(written)) != '\n' && count > 0;
    }
  }
  for (size_t i = 0; i < count; ++i) {
    const char* const bytes = static_cast<char*>(parts[i].iov_base);
    dropped_bytes_ += parts[i].iov_len;
    for (size_t at = 0; at < parts[i].iov_len; ++at) {
      dropped_lines_ += bytes[at] == '\n' ? 1U : 0U;
    }
  }
}

}  // namespace davit::conmon
