// SPDX-License-Identifier: Apache-2.0
#include "storage/rootfs_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <utility>

#include "base/failpoint.h"
#include "base/file.h"
#include "base/id.h"
#include "base/mount.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "storage/image_store.h"
#include "storage/overlay.h"
#include "storage/tree_usage.h"

namespace davit::storage {
namespace {

absl::Status CheckId(const std::string& container_id) {
  if (!IsContainerId(container_id)) {
    return InvalidArgument("container ID '{}' cannot be a directory name", Printable(container_id));
  }
  return absl::OkStatus();
}

std::string KeyOf(const std::string& option) {
  return option.substr(0, option.find('='));
}

// The defaults, each unless the configuration says otherwise. index and metacopy would tie the
// upper directory to these very layers and make it depend on attributes that an image might forge.
std::vector<std::string> MountOptions(const std::vector<std::string>& configured) {
  std::vector<std::string> options = configured;
  for (const char* option : {"index=off", "metacopy=off", "volatile"}) {
    bool given = false;
    for (const std::string& other : configured) {
      given = given || KeyOf(other) == KeyOf(option);
    }
    if (!given) {
      options.emplace_back(option);
    }
  }
  return options;
}

// The layer whose tar says what "/" is like: the topmost that does, else the topmost.
std::string RootModel(const ImageRecord& image, const LayerTable& layers, const Paths& paths) {
  for (auto it = image.layers.rbegin(); it != image.layers.rend(); ++it) {
    const auto layer = layers.by_id.find(*it);
    if (layer != layers.by_id.end() && (layer->second.flags & kHasRootEntry) != 0) {
      return paths.Diff(*it);
    }
  }
  return image.layers.empty() ? paths.EmptyLower() : paths.Diff(image.layers.back());
}

}  // namespace

absl::Mutex& RootfsStore::MutexOf(const std::string& container_id) {
  return mutexes_[std::hash<std::string>()(container_id) % mutexes_.size()];
}

// "/" of a container has owner and mode of its upper directory.
absl::Status RootfsStore::MakeUpper(const std::string& container_id, const ImageRecord& image,
                                    const LayerTable& layers) const {
  const Paths& paths = state_.paths();
  struct stat st = {};
  const std::string model = RootModel(image, layers, paths);
  if (stat(model.c_str(), &st) != 0) {
    return ErrnoStatus(errno, "stat " + model);
  }
  RETURN_IF_ERROR(MakeDirs(paths.Upper(container_id), 0700));
  RETURN_IF_ERROR(MakeDirs(paths.Work(container_id), 0700));
  ASSIGN_OR_RETURN(const UniqueFd upper,
                   Open(paths.Upper(container_id), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (fchown(upper.get(), st.st_uid, st.st_gid) != 0 ||
      fchmod(upper.get(), st.st_mode & 07777U) != 0) {
    return ErrnoStatus(errno, "set owner and mode of " + paths.Upper(container_id));
  }
  return absl::OkStatus();
}

absl::Status RootfsStore::Create(const std::string& container_id, const std::string& image_id) {
  RETURN_IF_ERROR(CheckId(container_id));
  absl::MutexLock container_lock(&MutexOf(container_id));
  absl::MutexLock lock(&state_.changes);
  Snapshot next = state_.snapshot();
  ASSIGN_OR_RETURN(const auto image, FindInTable(*next.images, image_id));
  if (!image) {
    return NotFound("container {}: image {} is not here; pull it first", ShortId(container_id),
                    Printable(image_id));
  }
  const auto row = next.rootfs->find(container_id);
  if (row != next.rootfs->end()) {
    if (row->second == (*image)->id) {
      return absl::OkStatus();
    }
    return AlreadyExists("container {} has a root file system of image {} already",
                         ShortId(container_id), ShortId(row->second));
  }
  RETURN_IF_ERROR(MakeUpper(container_id, **image, *next.layers));
  RETURN_IF_ERROR(failpoint::Hit("storage.create_rootfs.after_dirs"));
  RETURN_IF_ERROR(Annotate(
      state_.db().Write(Db::Sync::kNormal,
                        [&](Transaction& tx) { return PutRootfs(tx, container_id, (*image)->id); }),
      "record root file system of container " + ShortId(container_id)));
  auto rootfs = std::make_shared<RootfsTable>(*next.rootfs);
  (*rootfs)[container_id] = (*image)->id;
  next.rootfs = std::move(rootfs);
  state_.Publish(std::move(next));
  return absl::OkStatus();
}

absl::StatusOr<std::string> RootfsStore::Mount(const std::string& container_id) {
  RETURN_IF_ERROR(CheckId(container_id));
  absl::MutexLock lock(&MutexOf(container_id));
  const Snapshot snapshot = state_.snapshot();
  const auto row = snapshot.rootfs->find(container_id);
  if (row == snapshot.rootfs->end()) {
    return NotFound("container {} has no root file system", ShortId(container_id));
  }
  const Paths& paths = state_.paths();
  const std::string target = paths.Rootfs(container_id);
  ASSIGN_OR_RETURN(const bool mounted, IsMountPoint(target));
  if (mounted) {
    return target;
  }
  const auto image = snapshot.images->by_id.find(row->second);
  if (image == snapshot.images->by_id.end()) {
    return NotFound("container {}: image {} is damaged and was removed; remove the container",
                    ShortId(container_id), ShortId(row->second));
  }
  OverlaySpec spec{.lowers = {},
                   .upper = paths.Upper(container_id),
                   .work = paths.Work(container_id),
                   .options = MountOptions(state_.options().mount_options)};
  ASSIGN_OR_RETURN(spec.lowers, LowersOf(*image->second, *snapshot.layers, paths));
  RETURN_IF_ERROR(MakeDirs(target));
  RETURN_IF_ERROR(RemoveTree(paths.VolatileMark(container_id)));
  RETURN_IF_ERROR(Annotate(MountOverlay(spec, target),
                           "root file system of container " + ShortId(container_id)));
  return target;
}

absl::StatusOr<std::string> RootfsStore::MakeVolume(const std::string& container_id,
                                                    const std::string& name) {
  for (const std::string& part : {container_id, name}) {
    if (!IsContainerId(part)) {
      return InvalidArgument("'{}' cannot be a directory name", Printable(part));
    }
  }
  absl::MutexLock lock(&MutexOf(container_id));
  if (!state_.snapshot().rootfs->contains(container_id)) {
    return NotFound("container {} has no root file system", ShortId(container_id));
  }
  std::string path = state_.paths().ContainerVolume(container_id, name);
  RETURN_IF_ERROR(MakeDirs(path, 0755));
  return path;
}

absl::Status RootfsStore::Unmount(const std::string& container_id) {
  RETURN_IF_ERROR(CheckId(container_id));
  absl::MutexLock lock(&MutexOf(container_id));
  return davit::Unmount(state_.paths().Rootfs(container_id));
}

absl::Status ReleaseMountPoint(const Paths& paths, const std::string& container_id) {
  const std::string target = paths.Rootfs(container_id);
  while (true) {
    ASSIGN_OR_RETURN(const bool mounted, IsMountPoint(target));
    if (!mounted) {
      break;
    }
    RETURN_IF_ERROR(davit::Unmount(target));  // with all that is mounted inside
  }
  RETURN_IF_ERROR(RemoveTree(target));
  // The directory above is shared with the container's other files of the run.
  if (rmdir(paths.RunContainer(container_id).c_str()) != 0 && errno != ENOENT &&
      errno != ENOTEMPTY && errno != EEXIST) {
    return ErrnoStatus(errno, "remove " + paths.RunContainer(container_id));
  }
  return absl::OkStatus();
}

absl::Status RootfsStore::Remove(const std::string& container_id) {
  RETURN_IF_ERROR(CheckId(container_id));
  absl::MutexLock container_lock(&MutexOf(container_id));
  RETURN_IF_ERROR(ReleaseMountPoint(state_.paths(), container_id));
  RETURN_IF_ERROR(RemoveTree(state_.paths().Container(container_id)));
  absl::MutexLock lock(&state_.changes);
  Snapshot next = state_.snapshot();
  if (!next.rootfs->contains(container_id)) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(
      Annotate(state_.db().Write(Db::Sync::kNormal,
                                 [&](Transaction& tx) { return DeleteRootfs(tx, container_id); }),
               "remove root file system of container " + ShortId(container_id)));
  auto rootfs = std::make_shared<RootfsTable>(*next.rootfs);
  rootfs->erase(container_id);
  next.rootfs = std::move(rootfs);
  state_.Publish(std::move(next));
  return absl::OkStatus();
}

absl::StatusOr<FsUsage> RootfsStore::Usage(const std::string& container_id) {
  RETURN_IF_ERROR(CheckId(container_id));
  if (!state_.snapshot().rootfs->contains(container_id)) {
    return NotFound("container {} has no root file system", ShortId(container_id));
  }
  ASSIGN_OR_RETURN(const TreeUsage usage, MeasureTree(state_.paths().Upper(container_id)));
  return FsUsage{.timestamp_ns = NowNanos(),
                 .mountpoint = state_.paths().root(),
                 .used_bytes = usage.bytes,
                 .inodes_used = usage.inodes};
}

}  // namespace davit::storage
