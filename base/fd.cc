// SPDX-License-Identifier: Apache-2.0
#include "base/fd.h"

#include <unistd.h>

#include <cerrno>

namespace davit {

void UniqueFd::Reset(int fd) {
  if (fd_ >= 0 && fd_ != fd) {
    const int saved_errno = errno;
    // Never retried: Linux frees the number even when close reports EINTR.
    close(fd_);
    errno = saved_errno;
  }
  fd_ = fd;
}

}  // namespace davit
