// SPDX-License-Identifier: Apache-2.0
#include "base/mount_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <utility>

#include "base/file.h"
#include "base/idmapped_mount.h"
#include "base/namespace.h"
#include "base/status.h"

namespace davit {
namespace {

absl::StatusOr<UniqueFd> OpenOwn() {
  return Open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
}

// Where the new root is put together: a directory that is there. Nobody else sees it.
constexpr char kPlace[] = "/proc";

absl::StatusOr<PlacedTree> CopyOne(const std::string& target) {
  PlacedTree copy{
      .tree = UniqueFd(open_tree(AT_FDCWD, target.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)),
      .target = target == "/" ? kPlace : kPlace + target};
  if (!copy.tree.valid()) {
    return ErrnoStatus(errno, "copy the mount at " + target);
  }
  return copy;
}

absl::Status AttachAll(const std::vector<PlacedTree>& trees) {
  for (const PlacedTree& tree : trees) {
    RETURN_IF_ERROR(AttachMount(tree.tree.get(), tree.target));
  }
  return absl::OkStatus();
}

// What is at kPlace becomes the root; what was before goes away whole.
absl::Status Pivot() {
  if (chdir(kPlace) != 0 || syscall(SYS_pivot_root, ".", ".") != 0) {
    return ErrnoStatus(errno, "change the root of a mount namespace");
  }
  if (umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) {
    return ErrnoStatus(errno, "leave the former root");
  }
  return absl::OkStatus();
}

// Both on a thread of their own.
absl::StatusOr<UniqueFd> MakeHere(const std::vector<std::string>& targets) {
  if (unshare(CLONE_NEWNS) != 0) {
    return ErrnoStatus(errno, "make a mount namespace");
  }
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return ErrnoStatus(errno, "part a mount namespace from others");
  }
  ASSIGN_OR_RETURN(UniqueFd made, OpenOwn());  // while /proc is where it was
  std::vector<PlacedTree> copies;
  for (const std::string& target : targets) {
    ASSIGN_OR_RETURN(PlacedTree copy, CopyOne(target));
    copies.push_back(std::move(copy));
  }
  RETURN_IF_ERROR(AttachAll(copies));
  RETURN_IF_ERROR(Pivot());
  return made;
}

absl::StatusOr<UniqueFd> ExtendHere(int name_space, const std::vector<PlacedTree>& trees) {
  // A thread that shares its root and working directory with others may not change them.
  if (unshare(CLONE_FS) != 0 || setns(name_space, CLONE_NEWNS) != 0 || unshare(CLONE_NEWNS) != 0) {
    return ErrnoStatus(errno, "copy a mount namespace");
  }
  RETURN_IF_ERROR(AttachAll(trees));
  return OpenOwn();
}

using Result = absl::StatusOr<UniqueFd>;

Result OnItsThread(const std::function<Result()>& body) {
  Result made = absl::UnknownError("");
  RETURN_IF_ERROR(OnThrowawayThread([&] {
    made = body();
    return made.status();
  }));
  return made;
}

}  // namespace

absl::StatusOr<UniqueFd> MakeMountNamespace(const std::vector<std::string>& targets) {
  return OnItsThread([&] { return MakeHere(targets); });
}

absl::StatusOr<UniqueFd> ExtendMountNamespace(int name_space,
                                              const std::vector<PlacedTree>& trees) {
  return OnItsThread([&] { return ExtendHere(name_space, trees); });
}

}  // namespace davit
