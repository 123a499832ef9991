// SPDX-License-Identifier: Apache-2.0
#include "conmon/null_device.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

namespace davit::conmon {
namespace {

// As in linux/mount.h, which musl's headers are without.
constexpr unsigned kFsopenCloexec = 1;
constexpr unsigned kFsconfigCreate = 6;
constexpr unsigned kFsmountCloexec = 1;
constexpr unsigned kMountNosuidNoexec = 2 | 8;

// null(4); no constant expression in every C library.
dev_t NullDevice() {
  return makedev(1, 3);
}

}  // namespace

int OpenOwnNull(Fd* device, Fd* mount) {
  const Fd context(static_cast<int>(syscall(SYS_fsopen, "tmpfs", kFsopenCloexec)));
  if (!context.valid() ||
      syscall(SYS_fsconfig, context.get(), kFsconfigCreate, nullptr, nullptr, 0) != 0) {
    return errno;
  }
  mount->Reset(
      static_cast<int>(syscall(SYS_fsmount, context.get(), kFsmountCloexec, kMountNosuidNoexec)));
  if (!mount->valid() || mknodat(mount->get(), "null", S_IFCHR | 0600, NullDevice()) != 0) {
    return errno;
  }
  device->Reset(openat(mount->get(), "null", O_RDWR | O_CLOEXEC | O_NOCTTY));
  return device->valid() && fchmod(device->get(), 0666) == 0 ? 0 : errno;
}

int ReplaceNullStdio(Fd* mount) {
  Fd null;
  for (int fd = 0; fd < 3; ++fd) {
    struct stat status = {};
    if (fstat(fd, &status) != 0) {
      return errno;
    }
    if (!S_ISCHR(status.st_mode) || status.st_rdev != NullDevice()) {
      continue;
    }
    const int error = null.valid() ? 0 : OpenOwnNull(&null, mount);
    if (error != 0) {
      return error;
    }
    if (dup2(null.get(), fd) < 0) {
      return errno;
    }
  }
  return 0;
}

}  // namespace davit::conmon
