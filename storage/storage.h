// SPDX-License-Identifier: Apache-2.0
//
// Layers, images and container root file systems.
//
// On disk (storage/paths.h builds every path):
//   <root>/davit.db              tables of this module: layers, images, image_names, containers_fs
//   <root>/layers/<id>/diff      one layer's own files in overlay form; id is the hex of its diff
//   ID <root>/layers/tmp-<random>   a layer being applied; removed at Open
//   <root>/containers/<id>/{upper,work}   a container's writable layer
//   <root>/containers/<id>/volumes/<name> what it writes to a volume of its image
//   <run>/containers/<id>/rootfs the overlay mount
//   <run>/image-volumes/<image id>   an image mounted as a volume
//   <run>/containers/<id>/image-volumes/<image id>   the same for a user namespace
// A layer directory is named by its diff ID alone: an overlay diff does not depend on what is below
// it, so every image shares it, whatever its parents.
//
// Durability: layer data reaches the disk (one syncfs) before the one transaction that makes layers
// and image visible, the image record last. Whatever a crash leaves has no record and is removed at
// Open.
//
// Thread-safe. Reads (Find*, List*) answer from an immutable snapshot in memory and never touch the
// disk. Layer application, mounts and removal do, and take no lock that a read takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "base/digest.h"
#include "storage/byte_source.h"
#include "storage/check/check.h"
#include "storage/id_mapping.h"

namespace davit {
class Db;
}

namespace davit::storage {

struct LayerInfo {
  Digest diff_id;     // of the uncompressed tar
  Digest blob;        // of what the registry sent; empty if unknown
  uint64_t size = 0;  // bytes of regular files in diff/
  uint64_t files = 0;
};

// A layer that is wholly on disk in its temporary directory but has no record yet. Destroying the
// last reference removes it, unless CommitImage has taken it.
class PendingLayer {
 public:
  virtual ~PendingLayer() = default;
  [[nodiscard]] virtual const LayerInfo& info() const = 0;
};

// Applies one uncompressed tar stream. Not thread-safe; destroying it unfinished removes what it
// wrote.
class LayerWriter {
 public:
  virtual ~LayerWriter() = default;
  // Bytes of the tar in any portions. Blocks while the applier is behind. InvalidArgument for a tar
  // that is malformed or hostile (names that leave the layer, device nodes where not allowed, …),
  // ResourceExhausted for a full disk or a limit passed.
  virtual absl::Status Write(std::span<const uint8_t> bytes) = 0;
  // End of the stream: checks that the tar was complete, computes the diff ID, and fails with
  // DataLoss if `expected_diff_id` (when not empty) is another.
  virtual absl::StatusOr<std::shared_ptr<PendingLayer>> Finish(const Digest& expected_diff_id,
                                                               const Digest& blob) = 0;
};

struct ImageRecord {
  // What the CRI calls image ID: hex of the config's digest; of the manifest's for an artifact.
  std::string id;
  std::vector<std::string> tags;     // canonical names with tag: "docker.io/library/busybox:1"
  std::vector<std::string> digests;  // canonical names with digest: "…/busybox@sha256:…"
  std::string config_json;           // raw OCI image config
  std::string manifest_json;         // raw manifest
  std::vector<Digest> layers;        // diff IDs, lowest first
  uint64_t size = 0;                 // sum of its layers' sizes plus config and manifest
  int64_t pulled_at_ns = 0;
  bool pinned = false;
  std::string artifact_type = {};  // of an OCI artifact; "" for a container image
  // The root of the additional store that it lies in; "": ours. Not to be given to CommitImage.
  std::string store = {};
};

// The uncompressed tar of a layer, made again bit for bit. One thread.
class LayerTar : public ByteSource {
 public:
  [[nodiscard]] virtual uint64_t tar_size() const = 0;
};

// Images of which a check found a layer damaged are absent to all but their removal.
enum class Damaged { kHidden, kShown };

// A directory of layers/ that no record names.
struct Stray {
  std::string path;
  uint64_t bytes = 0;
};

struct FsUsage {
  int64_t timestamp_ns = 0;
  std::string mountpoint;
  uint64_t used_bytes = 0;
  uint64_t inodes_used = 0;
};

struct Options {
  std::string root;
  std::string run;
  bool sync = true;
  bool recipes = true;  // keep what makes a layer's tar again: full checks, ReadLayer
  uint64_t max_layer_bytes = uint64_t{64} << 30U;
  uint64_t max_layer_files = 10'000'000;
  uint64_t max_layer_ratio = 2000;  // unpacked to compressed, from 1 GiB unpacked on; 0: no limit
  bool layer_devices = true;        // else a layer with device nodes is refused
  std::vector<std::string> mount_options;
  uint64_t rootfs_size = 0;      // default of RootfsSpec::size_limit; 0: no limit
  std::string unpack_path = {};  // davit-unpack; "": looked for by FindHelperProgram
  // Roots of stores that are read and never written (storage/additional_stores.h).
  std::vector<std::string> additional_stores = {};
  std::string selinux_volume_label = {};  // of all files in image volumes; "": as they have it
};

// What the writer may assume of a layer before it has seen it.
struct LayerHints {
  uint64_t compressed_size = 0;  // of the registry's blob; 0 if unknown
};

// How a container's root file system is made. Recorded: mounts and recovery need no more.
struct RootfsSpec {
  // Bytes that the container may write; 0: Options::rootfs_size. Where the file system below the
  // storage root has no project quotas the limit is not enforced (one warning; see
  // Storage::SizeLimits).
  uint64_t size_limit = 0;
  // Of the pod's user namespace; both lists or neither. The layers appear with the host's IDs of
  // the mapping, and what the container writes is owned by those: no file of the image is changed.
  IdMappings mappings;
};

struct RootfsOptions {
  bool read_only = false;
  std::string selinux_label = {};  // of every file in it; "": as the files have it
};

class Storage {
 public:
  // Migrates the tables, removes leftovers, loads the snapshot. The Db outlives the Storage.
  static absl::StatusOr<std::unique_ptr<Storage>> Open(const Options& options, Db& db);
  virtual ~Storage() = default;

  // --- layers -----------------------------------------------------------------------------------
  [[nodiscard]] virtual bool HasLayer(const Digest& diff_id) const = 0;
  // Which layer a registry blob unpacked to, if it is here.
  [[nodiscard]] virtual std::optional<LayerInfo> FindLayerByBlob(const Digest& blob) const = 0;
  virtual absl::StatusOr<std::unique_ptr<LayerWriter>> NewLayer(const LayerHints& hints = {}) = 0;
  // FailedPrecondition if it has no recipe, NotFound if it is not here. A layer that is damaged, or
  // removed meanwhile, ends in DataLoss or in bytes whose digest is not the diff ID.
  virtual absl::StatusOr<std::unique_ptr<LayerTar>> ReadLayer(const Digest& diff_id) = 0;

  // --- images -----------------------------------------------------------------------------------
  // Makes the pending layers and the image visible in one durable transaction. Layers of the record
  // are pending here or present already, else FailedPrecondition. If the image exists its names are
  // merged. A tag that pointed to another image moves.
  virtual absl::Status CommitImage(const ImageRecord& image,
                                   const std::vector<std::shared_ptr<PendingLayer>>& layers) = 0;
  // By 64-digit ID, "sha256:"+ID, unambiguous ID prefix (>= 3 digits), or canonical name with tag
  // or digest. Nothing if absent; InvalidArgument if the prefix is ambiguous.
  [[nodiscard]] virtual absl::StatusOr<std::optional<std::shared_ptr<const ImageRecord>>> FindImage(
      const std::string& id_or_name, Damaged damaged = Damaged::kHidden) const = 0;
  [[nodiscard]] virtual std::vector<std::shared_ptr<const ImageRecord>> ListImages() const = 0;
  // Removes one name (tag or digest); the image goes with its last tag (an image pulled by digest
  // only: with its last digest). FailedPrecondition for an image of an additional store.
  virtual absl::Status RemoveImageName(const std::string& name) = 0;
  // IDs of images that a container uses, as its root or as a volume.
  [[nodiscard]] virtual std::set<std::string> ImagesInUse() const = 0;
  // Removes the image with all its names and the records of the layers that nothing refers to any
  // more; their directories are deleted in the background.
  // FailedPrecondition while a container uses it, as its root or as a volume, and for an image of
  // an additional store. Unknown is success.
  virtual absl::Status RemoveImage(const std::string& image_id) = 0;
  // Reads the image's file system without a container (to look up /etc/passwd): calls `body` with
  // an O_PATH descriptor of a read-only mount of its layers, detached from any path.
  virtual absl::Status WithImageRoot(const std::string& image_id,
                                     const std::function<absl::Status(int root_fd)>& body) = 0;

  // --- container root file systems --------------------------------------------------------------
  // Makes upper and work and records that the container uses the image. Idempotent.
  virtual absl::Status CreateRootfs(const std::string& container_id, const std::string& image_id,
                                    const RootfsSpec& spec = {}) = 0;
  // Mounts the overlay (if it is not) and returns the path.
  virtual absl::StatusOr<std::string> MountRootfs(const std::string& container_id,
                                                  const RootfsOptions& options) = 0;
  // A directory on the disk for one volume of the container, outside its root file system; made
  // 0755 if it is not there. Goes with RemoveRootfs.
  virtual absl::StatusOr<std::string> MakeContainerVolume(const std::string& container_id,
                                                          const std::string& name) = 0;
  virtual absl::Status UnmountRootfs(const std::string& container_id) = 0;
  // Unmounts and removes everything of the container. Unknown is success.
  virtual absl::Status RemoveRootfs(const std::string& container_id) = 0;
  // IDs that have a root file system: recovery removes those without a container.
  [[nodiscard]] virtual std::vector<std::string> ListRootfs() const = 0;
  // From the quota where the root file system has one; else walks the upper directory: slow, for a
  // background thread.
  virtual absl::StatusOr<FsUsage> RootfsUsage(const std::string& container_id) = 0;

  // --- image volumes ----------------------------------------------------------------------------
  // Mounts the image's file system read-only, nosuid, nodev, for the container to bind in: one
  // mount for each image, shared by all that use it, at a path outside any container. From here
  // on the container uses the image. Idempotent; a failure is undone by ReleaseImageVolumes. The
  // image is named by its full ID; NotFound if it is not here. With mappings the mount is the
  // container's own and its files have the host's IDs of these; FailedPrecondition where mounts
  // cannot be ID-mapped.
  virtual absl::StatusOr<std::string> MountImageVolume(const std::string& container_id,
                                                       const std::string& image_id,
                                                       const IdMappings& mappings = {}) = 0;
  // The container uses none any more; what nobody else uses is unmounted. Unknown is success.
  virtual absl::Status ReleaseImageVolumes(const std::string& container_id) = 0;
  // IDs of containers that use image volumes: recovery releases those that are gone.
  [[nodiscard]] virtual std::vector<std::string> ListImageVolumeUsers() const = 0;

  // --- keeping ----------------------------------------------------------------------------------
  // storage/check/check.h
  virtual absl::StatusOr<CheckReport> Check(Context& ctx, const CheckOptions& options,
                                            CheckObserver& observer) = 0;
  // What no record names and nobody uses, with its size; begins its deletion if told to.
  virtual absl::StatusOr<std::vector<Stray>> Strays(bool remove) = 0;
  // Blocks until what is being deleted in the background is gone.
  virtual void AwaitDeletions() = 0;

  // --- space ------------------------------------------------------------------------------------
  // What our layers occupy, from the records: no disk is touched. A layer that has not been
  // measured yet counts with the sizes of its files.
  [[nodiscard]] virtual FsUsage ImageFsUsage() const = 0;
  // Measures the layers that have not been. Slow, once for each layer: for a background thread.
  virtual absl::Status MeasureLayers() = 0;
  // OK if size limits of root file systems are enforced here, else why not.
  [[nodiscard]] virtual absl::Status SizeLimits() const = 0;
  [[nodiscard]] virtual const std::string& root() const = 0;
};

}  // namespace davit::storage
