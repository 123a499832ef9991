// SPDX-License-Identifier: Apache-2.0
#include "base/idmapped_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

#include "base/status.h"

namespace davit {

absl::StatusOr<UniqueFd> IdmappedMount(const std::string& path, int user_namespace) {
  UniqueFd mount(open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!mount.valid()) {
    return errno == ENOSYS ? Unimplemented("the kernel lacks open_tree")
                           : ErrnoStatus(errno, "clone the mount of " + path);
  }
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<__u64>(user_namespace);
  if (mount_setattr(mount.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    if (errno == ENOSYS || errno == EINVAL || errno == EOPNOTSUPP) {
      return Unimplemented("ID-map the mount of {}: the kernel or the file system cannot ({})",
                           path, ErrnoText(errno));
    }
    return ErrnoStatus(errno, "ID-map the mount of " + path);
  }
  return mount;
}

absl::Status AttachMount(int mount_fd, const std::string& target) {
  if (move_mount(mount_fd, "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return ErrnoStatus(errno, "attach a mount at " + target);
  }
  return absl::OkStatus();
}

}  // namespace davit
