// SPDX-License-Identifier: Apache-2.0
#include "base/null_device.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>

#include "base/status.h"

namespace davit {

absl::StatusOr<UniqueFd> OpenOwnNull() {
  const UniqueFd context(fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!context.valid() || fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return ErrnoStatus(errno, "make a file system for a null device");
  }
  const UniqueFd mount(
      fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
  if (!mount.valid() || mknodat(mount.get(), "null", S_IFCHR | 0600, makedev(1, 3)) != 0) {
    return ErrnoStatus(errno, "make a null device");
  }
  UniqueFd null(openat(mount.get(), "null", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!null.valid() || fchmod(null.get(), 0666) != 0) {
    return ErrnoStatus(errno, "open a null device");
  }
  return null;
}

}  // namespace davit
