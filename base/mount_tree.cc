// SPDX-License-Identifier: Apache-2.0
#include "base/mount_tree.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/idmapped_mount.h"
#include "base/status.h"

namespace davit {
namespace {

constexpr unsigned kSelf = AT_EMPTY_PATH;
constexpr unsigned kAll = kSelf | unsigned{AT_RECURSIVE};

int SetAttributes(const UniqueFd& tree, unsigned flags, mount_attr attributes) {
  return mount_setattr(tree.get(), "", flags, &attributes, sizeof attributes) == 0 ? 0 : errno;
}

absl::Status Map(const UniqueFd& tree, const std::string& path, int user_namespace) {
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<__u64>(user_namespace);
  int error = SetAttributes(tree, kAll, attributes);
  if (error != 0) {
    error = SetAttributes(tree, kSelf, attributes);
  }
  switch (error) {
    case 0:
      return absl::OkStatus();
    case ENOSYS:
    case EINVAL:
    case EOPNOTSUPP:
      return Unimplemented("ID-map the mount of {}: the kernel or the file system cannot ({})",
                           path, ErrnoText(error));
    default:
      return ErrnoStatus(error, "ID-map the mount of " + path);
  }
}

}  // namespace

absl::StatusOr<UniqueFd> CopyMountTree(const std::string& path, const TreeOptions& options) {
  const bool opened = options.source >= 0;
  UniqueFd tree(open_tree(
      opened ? options.source : AT_FDCWD, opened ? "" : path.c_str(),
      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | unsigned{AT_RECURSIVE} | (opened ? kSelf : 0U)));
  if (!tree.valid()) {
    return errno == ENOSYS ? Unimplemented("the kernel lacks open_tree")
                           : ErrnoStatus(errno, "copy the mounts of " + path);
  }
  // First: while the copies are peers of the originals, what is done to them is done to those.
  mount_attr attributes = {};
  attributes.propagation = options.follow ? MS_SLAVE : MS_PRIVATE;
  if (const int error = options.peer ? 0 : SetAttributes(tree, kAll, attributes); error != 0) {
    return error == ENOSYS ? Unimplemented("the kernel lacks mount_setattr")
                           : ErrnoStatus(error, "part the copy of the mounts of " + path);
  }
  if (options.user_namespace >= 0) {
    RETURN_IF_ERROR(Map(tree, path, options.user_namespace));
  }
  if (options.readonly) {
    attributes = {};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    if (const int error = SetAttributes(tree, kAll, attributes); error != 0) {
      return ErrnoStatus(error, "make the copy of the mounts of " + path + " read-only");
    }
  }
  return tree;
}

absl::Status AttachMountTree(const std::string& path, const std::string& target,
                             const TreeOptions& options) {
  ASSIGN_OR_RETURN(const UniqueFd tree, CopyMountTree(path, options));
  struct stat st = {};
  if (fstat(tree.get(), &st) != 0) {
    return ErrnoStatus(errno, "stat " + path);
  }
  RETURN_IF_ERROR(S_ISDIR(st.st_mode)
                      ? MakeDirs(target)
                      : Open(target, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC).status());
  return AttachMount(tree.get(), target);
}

}  // namespace davit
