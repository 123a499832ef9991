// SPDX-License-Identifier: Apache-2.0
#include "storage/recover.h"

#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mount.h"
#include "base/status.h"
#include "storage/rootfs_store.h"
#include "storage/volume_store.h"

namespace davit::storage {
namespace {

struct Damage {
  std::vector<std::string> images;  // that miss a layer
  std::vector<Digest> layers;       // that are missing or that no image holds
};

Damage FindDamage(const Paths& paths, const Snapshot& snapshot) {
  std::set<Digest> missing;
  for (const auto& [diff_id, layer] : snapshot.layers->by_id) {
    if (!PathExists(paths.Diff(diff_id))) {
      missing.insert(diff_id);
    }
  }
  Damage damage;
  std::set<Digest> held;
  for (const auto& [id, image] : snapshot.images->by_id) {
    bool whole = true;
    for (const Digest& diff_id : image->layers) {
      whole = whole && snapshot.layers->by_id.contains(diff_id) && !missing.contains(diff_id);
    }
    if (whole) {
      held.insert(image->layers.begin(), image->layers.end());
    } else {
      damage.images.push_back(id);
    }
  }
  for (const auto& [diff_id, layer] : snapshot.layers->by_id) {
    if (!held.contains(diff_id)) {
      damage.layers.push_back(diff_id);
    }
  }
  return damage;
}

absl::Status DropRecords(Db& db, const Damage& damage) {
  for (const std::string& id : damage.images) {
    log::Error("image {}: a layer is missing on disk; the image is forgotten, pull it again",
               ShortId(id));
  }
  return db.Write(Db::Sync::kFull, [&damage](Transaction& tx) -> absl::Status {
    for (const std::string& id : damage.images) {
      RETURN_IF_ERROR(DeleteImage(tx, id));
    }
    for (const Digest& diff_id : damage.layers) {
      RETURN_IF_ERROR(DeleteLayer(tx, diff_id));
    }
    return absl::OkStatus();
  });
}

// Only names that this module gives: a directory that an administrator put here stays.
bool IsLayerName(const std::string& name) {
  return name.starts_with("tmp-") || (name.size() >= kIdLength && IsLowerHex(name));
}

absl::Status RemoveStrayLayers(const Paths& paths, const Snapshot& snapshot) {
  std::set<std::string> known;
  for (const auto& [diff_id, layer] : snapshot.layers->by_id) {
    known.insert(diff_id.hex());
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(paths.Layers()));
  for (const std::string& name : names) {
    if (!known.contains(name) && IsLayerName(name)) {
      log::Info("layer {}: no record holds it, removing", ShortId(name));
      RETURN_IF_ERROR(RemoveTree(JoinPath(paths.Layers(), name)));
    }
  }
  return absl::OkStatus();
}

absl::Status RemoveStrayContainers(const Paths& paths, const Snapshot& snapshot) {
  std::set<std::string> ids;
  for (const std::string& directory : {paths.Containers(), paths.RunContainers()}) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(directory));
    ids.insert(names.begin(), names.end());
  }
  for (const std::string& id : ids) {
    if (snapshot.rootfs->contains(id) || !IsContainerId(id)) {
      continue;
    }
    log::Info("container {}: no record of its root file system, removing", ShortId(id));
    RETURN_IF_ERROR(UnmountAllBelow(paths.RunContainer(id)));
    RETURN_IF_ERROR(ReleaseMountPoint(paths, id));
    RETURN_IF_ERROR(RemoveTree(paths.Container(id)));
  }
  return absl::OkStatus();
}

// Mounts that no container uses: a crash came between the last user's end and the unmount.
absl::Status RemoveStrayVolumes(const Paths& paths, const Snapshot& snapshot) {
  if (!PathExists(paths.ImageVolumes())) {
    return absl::OkStatus();
  }
  std::set<std::string> used;
  for (const auto& [container_id, image_ids] : *snapshot.volumes) {
    used.insert(image_ids.begin(), image_ids.end());
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(paths.ImageVolumes()));
  for (const std::string& image_id : names) {
    if (!used.contains(image_id) && IsContainerId(image_id)) {
      log::Info("image volume {}: no container uses it, unmounting", ShortId(image_id));
      RETURN_IF_ERROR(UnmountVolume(paths.ImageVolume(image_id)));
    }
  }
  return absl::OkStatus();
}

// Mount points of WithImageRoot on kernels that need them.
absl::Status RemoveScratch(const Paths& paths) {
  if (!PathExists(paths.Scratch())) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(UnmountAllBelow(paths.Scratch()));
  return RemoveTree(paths.Scratch());
}

}  // namespace

absl::StatusOr<Snapshot> Recover(const Paths& paths, Db& db) {
  ASSIGN_OR_RETURN(Snapshot snapshot, LoadSnapshot(db));
  const Damage damage = FindDamage(paths, snapshot);
  if (!damage.images.empty() || !damage.layers.empty()) {
    RETURN_IF_ERROR(DropRecords(db, damage));
    ASSIGN_OR_RETURN(snapshot, LoadSnapshot(db));
  }
  // What cannot be removed costs space, not correctness: it must not keep a node from starting.
  log::IfError(RemoveStrayLayers(paths, snapshot), "remove stray layers");
  log::IfError(RemoveStrayContainers(paths, snapshot), "remove stray root file systems");
  log::IfError(RemoveStrayVolumes(paths, snapshot), "remove stray image volumes");
  log::IfError(RemoveScratch(paths), "remove stray mounts of images");
  return snapshot;
}

}  // namespace davit::storage
