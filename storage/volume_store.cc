// SPDX-License-Identifier: Apache-2.0
#include "storage/volume_store.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "base/file.h"
#include "base/id.h"
#include "base/mount.h"
#include "base/status.h"
#include "base/text.h"
#include "storage/image_store.h"
#include "storage/lower_mounts.h"
#include "storage/mapped_lowers.h"
#include "storage/overlay.h"

namespace davit::storage {
namespace {

// Users run programs from image volumes, so these are not noexec.
std::vector<std::string> MountOptions(const std::string& selinux_label) {
  std::vector<std::string> options = {"ro", "nosuid", "nodev"};
  if (!selinux_label.empty()) {
    options.push_back("context=" + selinux_label);
  }
  return options;
}

absl::Status MountLayers(const Snapshot& snapshot, const ImageRecord& image, const State& state,
                         const std::string& target, const IdMappings& mappings) {
  const Paths& paths = state.paths();
  ASSIGN_OR_RETURN(std::vector<std::string> lowers, LowersOf(image, *snapshot.layers, paths));
  RETURN_IF_ERROR(MakeDirs(target));
  if (lowers.front() == paths.EmptyLower()) {
    return BindMount(lowers.front(), target, /*recursive=*/false, /*readonly=*/true);
  }
  if (lowers.size() == 1) {  // an overlay without an upper directory takes no fewer than two
    lowers.push_back(paths.EmptyLower());
  }
  LowerMounts mounts(paths.Scratch());
  if (!mappings.empty()) {
    auto mapped = IdmapLowers(lowers, mappings, mounts);
    if (absl::IsUnimplemented(mapped.status())) {
      return WithCode(absl::StatusCode::kFailedPrecondition, mapped.status());
    }
    ASSIGN_OR_RETURN(lowers, std::move(mapped));
  }
  return MountOverlay({.lowers = std::move(lowers),
                       .upper = "",
                       .work = "",
                       .options = MountOptions(state.options().selinux_volume_label)},
                      target);
}

bool IsUsedByAnother(const VolumeTable& volumes, const std::string& image_id,
                     const std::string& container_id) {
  return std::any_of(volumes.begin(), volumes.end(), [&](const auto& row) {
    return row.first != container_id && row.second.contains(image_id);
  });
}

}  // namespace

absl::Status UnmountVolume(const std::string& target) {
  while (true) {
    ASSIGN_OR_RETURN(const bool mounted, IsMountPoint(target));
    if (!mounted) {
      return RemoveFile(target);
    }
    RETURN_IF_ERROR(Unmount(target));
  }
}

absl::Mutex& VolumeStore::MutexOf(const std::string& image_id) {
  return mutexes_[std::hash<std::string>()(image_id) % mutexes_.size()];
}

absl::Status VolumeStore::AddUser(const std::string& container_id, const std::string& image_id) {
  absl::MutexLock lock(&state_.changes);
  Snapshot next = state_.snapshot();
  if (!next.images->by_id.contains(image_id)) {
    return NotFound("image {} is not here; pull it first", Printable(image_id));
  }
  const auto row = next.volumes->find(container_id);
  if (row != next.volumes->end() && row->second.contains(image_id)) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(Annotate(
      state_.db().Write(Db::Sync::kNormal,
                        [&](Transaction& tx) { return PutVolume(tx, container_id, image_id); }),
      "record the volumes of container " + ShortId(container_id)));
  auto volumes = std::make_shared<VolumeTable>(*next.volumes);
  (*volumes)[container_id].insert(image_id);
  next.volumes = std::move(volumes);
  state_.Publish(std::move(next));
  return absl::OkStatus();
}

absl::StatusOr<std::string> VolumeStore::Mount(const std::string& container_id,
                                               const std::string& image_id,
                                               const IdMappings& mappings) {
  RETURN_IF_ERROR(CheckMappings(mappings));
  if (!IsContainerId(container_id)) {
    return InvalidArgument("container ID '{}' cannot be a directory name", Printable(container_id));
  }
  absl::MutexLock image_lock(&MutexOf(image_id));
  RETURN_IF_ERROR(AddUser(container_id, image_id));
  RETURN_IF_ERROR(failpoint::Hit("storage.mount_image_volume.after_row"));
  std::string target = mappings.empty() ? state_.paths().ImageVolume(image_id)
                                        : state_.paths().MappedImageVolume(container_id, image_id);
  ASSIGN_OR_RETURN(const bool mounted, IsMountPoint(target));
  if (!mounted) {
    const Snapshot snapshot = state_.snapshot();
    // It cannot have been removed since the row is there.
    const ImageRecord& image = *snapshot.images->by_id.at(image_id);
    RETURN_IF_ERROR(Annotate(MountLayers(snapshot, image, state_, target, mappings),
                             "mount image " + ShortId(image_id) + " as a volume"));
  }
  RETURN_IF_ERROR(failpoint::Hit("storage.mount_image_volume.after_mount"));
  return target;
}

absl::Status VolumeStore::ReleaseOne(const std::string& container_id, const std::string& image_id) {
  absl::MutexLock image_lock(&MutexOf(image_id));
  RETURN_IF_ERROR(UnmountVolume(state_.paths().MappedImageVolume(container_id, image_id)));
  // Nobody becomes a user while the image is locked.
  if (!IsUsedByAnother(*state_.snapshot().volumes, image_id, container_id)) {
    RETURN_IF_ERROR(UnmountVolume(state_.paths().ImageVolume(image_id)));
    RETURN_IF_ERROR(failpoint::Hit("storage.release_image_volume.after_unmount"));
  }
  absl::MutexLock lock(&state_.changes);
  Snapshot next = state_.snapshot();
  RETURN_IF_ERROR(Annotate(
      state_.db().Write(Db::Sync::kNormal,
                        [&](Transaction& tx) { return DeleteVolume(tx, container_id, image_id); }),
      "release the volumes of container " + ShortId(container_id)));
  auto volumes = std::make_shared<VolumeTable>(*next.volumes);
  if (const auto row = volumes->find(container_id); row != volumes->end()) {
    row->second.erase(image_id);
    if (row->second.empty()) {
      volumes->erase(row);
    }
  }
  next.volumes = std::move(volumes);
  state_.Publish(std::move(next));
  return absl::OkStatus();
}

absl::Status VolumeStore::Release(const std::string& container_id) {
  const auto volumes = state_.snapshot().volumes;
  const auto row = volumes->find(container_id);
  if (row == volumes->end()) {
    return absl::OkStatus();
  }
  for (const std::string& image_id : row->second) {
    RETURN_IF_ERROR(ReleaseOne(container_id, image_id));
  }
  return absl::OkStatus();
}

}  // namespace davit::storage
