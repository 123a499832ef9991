// SPDX-License-Identifier: Apache-2.0
#include "storage/storage.h"

#include <algorithm>
#include <utility>

#include "base/db.h"
#include "base/file.h"
#include "base/helper_program.h"
#include "base/status.h"
#include "base/time.h"
#include "storage/damage.h"
#include "storage/image_store.h"
#include "storage/layer_tar.h"
#include "storage/layer_usage.h"
#include "storage/layer_writer.h"
#include "storage/recover.h"
#include "storage/rootfs_store.h"
#include "storage/state.h"
#include "storage/strays.h"
#include "storage/unpacker.h"
#include "storage/volume_store.h"

namespace davit::storage {
namespace {

// A layer may be small on the wire and still not fill the disk.
ApplyLimits LimitsFor(const Options& options, const LayerHints& hints) {
  constexpr uint64_t kFreeBytes = uint64_t{1} << 30U;
  ApplyLimits limits{.max_bytes = options.max_layer_bytes,
                     .max_files = options.max_layer_files,
                     .allow_devices = options.layer_devices};
  const uint64_t ratio = options.max_layer_ratio;
  if (ratio > 0 && hints.compressed_size > 0 && hints.compressed_size < limits.max_bytes / ratio) {
    limits.max_bytes =
        std::min(limits.max_bytes, std::max(kFreeBytes, hints.compressed_size * ratio));
  }
  return limits;
}

class StorageImpl : public Storage {
 public:
  StorageImpl(const Options& options, Db& db, Snapshot snapshot, AdditionalStores additional)
      : state_(options, db, std::move(snapshot), std::move(additional)),
        images_(state_),
        rootfs_(state_),
        volumes_(state_) {}

  void Reap(const std::vector<std::string>& directories) { state_.reaper().Add(directories); }

  [[nodiscard]] bool HasLayer(const Digest& diff_id) const override {
    return IsPresent(*state_.snapshot().layers, diff_id);
  }

  [[nodiscard]] std::optional<LayerInfo> FindLayerByBlob(const Digest& blob) const override {
    const auto layers = state_.snapshot().layers;
    const auto found = layers->by_blob.find(blob);
    if (found == layers->by_blob.end() || !IsPresent(*layers, found->second)) {
      return std::nullopt;
    }
    LayerInfo info = layers->by_id.at(found->second).info;
    info.blob = blob;
    return info;
  }

  absl::StatusOr<std::unique_ptr<LayerWriter>> NewLayer(const LayerHints& hints) override {
    const Options& options = state_.options();
    ASSIGN_OR_RETURN(const std::string program,
                     FindHelperProgram(kUnpackProgram, options.unpack_path));
    return NewLayerWriter(program, state_.paths().NewTempLayer(), LimitsFor(options, hints),
                          options.recipes);
  }

  absl::StatusOr<std::unique_ptr<LayerTar>> ReadLayer(const Digest& diff_id) override {
    return OpenLayerTar(state_, diff_id);
  }

  absl::Status CommitImage(const ImageRecord& image,
                           const std::vector<std::shared_ptr<PendingLayer>>& layers) override {
    return images_.Commit(image, layers);
  }

  [[nodiscard]] absl::StatusOr<std::optional<std::shared_ptr<const ImageRecord>>> FindImage(
      const std::string& id_or_name, Damaged damaged) const override {
    const Snapshot snapshot = state_.snapshot();
    ASSIGN_OR_RETURN(auto found, FindInTable(*snapshot.images, id_or_name));
    if (found && damaged == Damaged::kHidden && !IsWhole(**found, *snapshot.layers)) {
      found.reset();
    }
    return found;
  }

  [[nodiscard]] std::vector<std::shared_ptr<const ImageRecord>> ListImages() const override {
    const Snapshot snapshot = state_.snapshot();
    std::vector<std::shared_ptr<const ImageRecord>> images;
    images.reserve(snapshot.images->by_id.size());
    for (const auto& [id, image] : snapshot.images->by_id) {
      if (IsWhole(*image, *snapshot.layers)) {
        images.push_back(image);
      }
    }
    return images;
  }

  [[nodiscard]] std::set<std::string> ImagesInUse() const override {
    const Snapshot snapshot = state_.snapshot();
    std::set<std::string> used;
    for (const auto& [container_id, rootfs] : *snapshot.rootfs) {
      used.insert(rootfs.image_id);
    }
    for (const auto& [container_id, image_ids] : *snapshot.volumes) {
      used.insert(image_ids.begin(), image_ids.end());
    }
    return used;
  }

  absl::Status RemoveImageName(const std::string& name) override {
    return images_.RemoveName(name);
  }

  absl::Status RemoveImage(const std::string& image_id) override {
    return images_.Remove(image_id);
  }

  absl::Status WithImageRoot(const std::string& image_id,
                             const std::function<absl::Status(int root_fd)>& body) override {
    return images_.WithRoot(image_id, body);
  }

  absl::Status CreateRootfs(const std::string& container_id, const std::string& image_id,
                            const RootfsSpec& spec) override {
    return rootfs_.Create(container_id, image_id, spec);
  }

  // The OCI runtime makes the root read-only by itself, after it has put its mount points there: a
  // read-only mount from here would leave it no way to do so.
  absl::StatusOr<std::string> MountRootfs(const std::string& container_id,
                                          const RootfsOptions& options) override {
    return rootfs_.Mount(container_id, options.selinux_label);
  }

  absl::StatusOr<std::string> MakeContainerVolume(const std::string& container_id,
                                                  const std::string& name) override {
    return rootfs_.MakeVolume(container_id, name);
  }

  absl::Status UnmountRootfs(const std::string& container_id) override {
    return rootfs_.Unmount(container_id);
  }

  absl::Status RemoveRootfs(const std::string& container_id) override {
    return rootfs_.Remove(container_id);
  }

  [[nodiscard]] std::vector<std::string> ListRootfs() const override {
    const auto table = state_.snapshot().rootfs;
    std::vector<std::string> ids;
    ids.reserve(table->size());
    for (const auto& [id, record] : *table) {
      ids.push_back(id);
    }
    return ids;
  }

  absl::StatusOr<FsUsage> RootfsUsage(const std::string& container_id) override {
    return rootfs_.Usage(container_id);
  }

  absl::StatusOr<std::string> MountImageVolume(const std::string& container_id,
                                               const std::string& image_id,
                                               const IdMappings& mappings) override {
    return volumes_.Mount(container_id, image_id, mappings);
  }

  absl::Status ReleaseImageVolumes(const std::string& container_id) override {
    return volumes_.Release(container_id);
  }

  [[nodiscard]] std::vector<std::string> ListImageVolumeUsers() const override {
    const auto table = state_.snapshot().volumes;
    std::vector<std::string> ids;
    ids.reserve(table->size());
    for (const auto& [id, image_ids] : *table) {
      ids.push_back(id);
    }
    return ids;
  }

  absl::StatusOr<CheckReport> Check(Context& ctx, const CheckOptions& options,
                                    CheckObserver& observer) override {
    return CheckStore(ctx, state_, options, observer);
  }

  absl::StatusOr<std::vector<Stray>> Strays(bool remove) override {
    return CollectStrays(state_, remove);
  }

  void AwaitDeletions() override { state_.reaper().Drain(); }

  [[nodiscard]] FsUsage ImageFsUsage() const override {
    FsUsage usage{
        .timestamp_ns = NowNanos(), .mountpoint = root(), .used_bytes = 0, .inodes_used = 0};
    const auto layers = state_.snapshot().layers;
    for (const auto& [diff_id, layer] : layers->by_id) {
      if (!layer.store.empty()) {
        continue;  // on somebody else's file system
      }
      const bool measured = layer.disk_inodes > 0;
      usage.used_bytes += measured ? layer.disk_bytes : layer.info.size;
      usage.inodes_used += measured ? layer.disk_inodes : layer.info.files;
    }
    return usage;
  }

  absl::Status MeasureLayers() override { return davit::storage::MeasureLayers(state_); }

  [[nodiscard]] absl::Status SizeLimits() const override { return rootfs_.SizeLimitStatus(); }

  [[nodiscard]] const std::string& root() const override { return state_.paths().root(); }

 private:
  State state_;
  ImageStore images_;
  RootfsStore rootfs_;
  VolumeStore volumes_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Storage>> Storage::Open(const Options& options, Db& db) {
  if (!options.root.starts_with('/') || !options.run.starts_with('/')) {
    return InvalidArgument("storage root '{}' and run directory '{}' must be absolute paths",
                           options.root, options.run);
  }
  const Paths paths(options.root, options.run);
  for (const std::string& directory : {paths.Layers(), paths.Containers(), paths.RunContainers()}) {
    RETURN_IF_ERROR(MakeDirs(directory));
  }
  RETURN_IF_ERROR(MakeDirs(paths.EmptyLower(), 0755));
  RETURN_IF_ERROR(db.Migrate(Migrations()));
  AdditionalStores additional =
      ReadAdditionalStores(options.additional_stores, paths.AdditionalScratch());
  ASSIGN_OR_RETURN(Recovered recovered, Recover(paths, db, additional));
  auto storage = std::make_unique<StorageImpl>(options, db, std::move(recovered.snapshot),
                                               std::move(additional));
  storage->Reap(recovered.garbage);
  return storage;
}

}  // namespace davit::storage
