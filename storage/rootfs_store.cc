// SPDX-License-Identifier: Apache-2.0
#include "storage/rootfs_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <functional>
#include <utility>

#include "base/failpoint.h"
#include "base/file.h"
#include "base/id.h"
#include "base/mount.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "storage/damage.h"
#include "storage/image_store.h"
#include "storage/lower_mounts.h"
#include "storage/mapped_lowers.h"
#include "storage/overlay.h"
#include "storage/tree_usage.h"
#include "storage/upper_dir.h"

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

// The defaults, each unless the configuration says otherwise; reasons in docs/storage-format.md.
// `required` are those without which the stack cannot be mounted.
std::vector<std::string> MountOptions(const std::vector<std::string>& configured,
                                      const std::vector<std::string>& required) {
  std::vector<std::string> options = required;
  const auto add = [&options](const std::string& option, const std::string& opposite) {
    for (const std::string& other : options) {
      if (KeyOf(other) == KeyOf(option) || other == opposite) {
        return;
      }
    }
    options.push_back(option);
  };
  for (const std::string& option : configured) {
    add(option, "");
  }
  add("index=off", "");
  add("metacopy=off", "");
  add("redirect_dir=nofollow", "");
  add("volatile", "");
  add("nodev", "dev");
  return options;
}

}  // namespace

absl::Mutex& RootfsStore::MutexOf(const std::string& container_id) {
  return mutexes_[std::hash<std::string>()(container_id) % mutexes_.size()];
}

// Directories that the record is about; all of them are there before it is.
absl::Status RootfsStore::MakeDirectories(const std::string& container_id, const ImageRecord& image,
                                          const LayerTable& layers, const RootfsRecord& record) {
  const Paths& paths = state_.paths();
  const std::string directory = paths.Container(container_id);
  RETURN_IF_ERROR(MakeDirs(directory, 0700));
  RETURN_IF_ERROR(limits_.Apply(directory, record.project_id, record.size_limit));
  return MakeUpper(container_id, image, layers, record.mappings, paths);
}

// Where mounts cannot be ID-mapped. After the record, as it may take long: the image cannot go any
// more, and other changes go on.
absl::Status RootfsStore::MakeMappedLayer(const std::string& container_id) {
  const Paths& paths = state_.paths();
  const Snapshot snapshot = state_.snapshot();
  const RootfsRecord& record = snapshot.rootfs->at(container_id);
  if (record.mappings.empty() || PathExists(paths.Mapped(container_id))) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const bool can, CanIdmap(paths.EmptyLower()));
  if (can) {
    return absl::OkStatus();
  }
  const auto image = snapshot.images->by_id.find(record.image_id);
  if (image == snapshot.images->by_id.end()) {
    return NotFound("image {} is not here (any more)", ShortId(record.image_id));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> lowers,
                   LowersOf(*image->second, *snapshot.layers, paths));
  const std::string unfinished = paths.Mapped(container_id) + ".tmp";
  RETURN_IF_ERROR(RemoveTree(unfinished));
  RETURN_IF_ERROR(MakeChownLayer(lowers, unfinished, record.mappings, paths.Scratch()));
  if (rename(unfinished.c_str(), paths.Mapped(container_id).c_str()) != 0) {
    return ErrnoStatus(errno, "rename " + unfinished);
  }
  return absl::OkStatus();
}

absl::Status RootfsStore::Create(const std::string& container_id, const std::string& image_id,
                                 const RootfsSpec& spec) {
  RETURN_IF_ERROR(CheckId(container_id));
  RETURN_IF_ERROR(Annotate(CheckMappings(spec.mappings), "container " + ShortId(container_id)));
  absl::MutexLock container_lock(&MutexOf(container_id));
  RETURN_IF_ERROR(Record(container_id, image_id, spec));
  return Annotate(MakeMappedLayer(container_id),
                  "root file system of container " + ShortId(container_id));
}

absl::Status RootfsStore::Record(const std::string& container_id, const std::string& image_id,
                                 const RootfsSpec& spec) {
  absl::MutexLock lock(&state_.changes);
  Snapshot next = state_.snapshot();
  ASSIGN_OR_RETURN(const auto image, FindInTable(*next.images, image_id));
  if (!image) {
    return NotFound("container {}: image {} is not here; pull it first", ShortId(container_id),
                    Printable(image_id));
  }
  if (!IsWhole(**image, *next.layers)) {
    return NotFound("container {}: image {} has a damaged layer; pull it again",
                    ShortId(container_id), ShortId((*image)->id));
  }
  const auto row = next.rootfs->find(container_id);
  if (row != next.rootfs->end()) {
    if (row->second.image_id == (*image)->id) {
      return absl::OkStatus();
    }
    return AlreadyExists("container {} has a root file system of image {} already",
                         ShortId(container_id), ShortId(row->second.image_id));
  }
  const uint64_t limit = spec.size_limit > 0 ? spec.size_limit : state_.options().rootfs_size;
  RootfsRecord record{
      .image_id = (*image)->id, .size_limit = limit, .project_id = 0, .mappings = spec.mappings};
  ASSIGN_OR_RETURN(record.project_id, limits_.Allocate(*next.rootfs, limit));
  RETURN_IF_ERROR(Annotate(MakeDirectories(container_id, **image, *next.layers, record),
                           "root file system of container " + ShortId(container_id)));
  RETURN_IF_ERROR(failpoint::Hit("storage.create_rootfs.after_dirs"));
  RETURN_IF_ERROR(Annotate(
      state_.db().Write(Db::Sync::kNormal,
                        [&](Transaction& tx) { return PutRootfs(tx, container_id, record); }),
      "record root file system of container " + ShortId(container_id)));
  auto rootfs = std::make_shared<RootfsTable>(*next.rootfs);
  (*rootfs)[container_id] = record;
  next.rootfs = std::move(rootfs);
  state_.Publish(std::move(next));
  return absl::OkStatus();
}

absl::StatusOr<std::string> RootfsStore::Mount(const std::string& container_id,
                                               const std::string& selinux_label) {
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
  const auto image = snapshot.images->by_id.find(row->second.image_id);
  if (image == snapshot.images->by_id.end()) {
    return NotFound("container {}: image {} is damaged and was removed; remove the container",
                    ShortId(container_id), ShortId(row->second.image_id));
  }
  ASSIGN_OR_RETURN(std::vector<std::string> lowers,
                   LowersOf(*image->second, *snapshot.layers, paths));
  RETURN_IF_ERROR(MakeDirs(target));
  RETURN_IF_ERROR(RemoveTree(paths.VolatileMark(container_id)));
  RETURN_IF_ERROR(Annotate(MountStack(container_id, row->second, std::move(lowers), selinux_label),
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

absl::Status RootfsStore::MountStack(const std::string& container_id, const RootfsRecord& record,
                                     std::vector<std::string> lowers,
                                     const std::string& selinux_label) {
  const Paths& paths = state_.paths();
  LowerMounts mounts(paths.Scratch());
  std::vector<std::string> required;
  if (PathExists(paths.Mapped(container_id))) {
    lowers.insert(lowers.begin(), JoinPath(paths.Mapped(container_id), "upper"));
    required = ChownOptions();
  } else if (!record.mappings.empty()) {
    ASSIGN_OR_RETURN(lowers, IdmapLowers(lowers, record.mappings, mounts));
  }
  if (!selinux_label.empty()) {
    required.push_back("context=" + selinux_label);
  }
  const OverlaySpec spec{.lowers = std::move(lowers),
                         .upper = paths.Upper(container_id),
                         .work = paths.Work(container_id),
                         .options = MountOptions(state_.options().mount_options, required),
                         .scratch = paths.Scratch()};
  return MountOverlay(spec, paths.Rootfs(container_id));
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
  limits_.Release(next.rootfs->at(container_id).project_id);
  auto rootfs = std::make_shared<RootfsTable>(*next.rootfs);
  rootfs->erase(container_id);
  next.rootfs = std::move(rootfs);
  state_.Publish(std::move(next));
  return absl::OkStatus();
}

absl::StatusOr<FsUsage> RootfsStore::Usage(const std::string& container_id) {
  RETURN_IF_ERROR(CheckId(container_id));
  const auto table = state_.snapshot().rootfs;
  const auto row = table->find(container_id);
  if (row == table->end()) {
    return NotFound("container {} has no root file system", ShortId(container_id));
  }
  if (limits_.Counts(row->second.project_id)) {
    ASSIGN_OR_RETURN(const ProjectUsage usage, limits_.Usage(row->second.project_id));
    return FsUsage{.timestamp_ns = NowNanos(),
                   .mountpoint = state_.paths().root(),
                   .used_bytes = usage.bytes,
                   .inodes_used = usage.inodes};
  }
  ASSIGN_OR_RETURN(const TreeUsage usage, MeasureTree(state_.paths().Upper(container_id)));
  return FsUsage{.timestamp_ns = NowNanos(),
                 .mountpoint = state_.paths().root(),
                 .used_bytes = usage.bytes,
                 .inodes_used = usage.inodes};
}

}  // namespace davit::storage
