// SPDX-License-Identifier: Apache-2.0
#include "storage/recover.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mount.h"
#include "base/status.h"
#include "base/text.h"
#include "storage/rootfs_store.h"
#include "storage/strays.h"
#include "storage/volume_store.h"

namespace davit::storage {
namespace {

struct Damage {
  std::vector<std::string> images;  // that have a layer without a record
  std::vector<Digest> unheld;       // layers that no image holds
  std::vector<Digest> missing;      // layers that are not on disk, and not marked yet
};

Damage FindDamage(const Paths& paths, const Snapshot& snapshot) {
  Damage damage;
  std::set<Digest> held;
  for (const auto& [id, image] : snapshot.images->by_id) {
    const bool known = std::all_of(
        image->layers.begin(), image->layers.end(),
        [&](const Digest& diff_id) { return snapshot.layers->by_id.contains(diff_id); });
    if (known) {
      held.insert(image->layers.begin(), image->layers.end());
    } else {
      damage.images.push_back(id);
    }
  }
  for (const auto& [diff_id, layer] : snapshot.layers->by_id) {
    if (!held.contains(diff_id)) {
      damage.unheld.push_back(diff_id);
    } else if ((layer.flags & kDamaged) == 0 && !PathExists(DiffOf(layer, paths))) {
      damage.missing.push_back(diff_id);
    }
  }
  return damage;
}

absl::Status Settle(Db& db, const Snapshot& snapshot, const Damage& damage) {
  for (const std::string& id : damage.images) {
    log::Error("image {}: a layer has no record; the image is forgotten, pull it again",
               ShortId(id));
  }
  for (const Digest& diff_id : damage.missing) {
    log::Error("layer {}: its directory is missing; pull the images that hold it again",
               diff_id.text());
  }
  return db.Write(Db::Sync::kFull, [&](Transaction& tx) -> absl::Status {
    for (const std::string& id : damage.images) {
      RETURN_IF_ERROR(DeleteImage(tx, id));
    }
    for (const Digest& diff_id : damage.unheld) {
      RETURN_IF_ERROR(DeleteLayer(tx, diff_id));
    }
    for (const Digest& diff_id : damage.missing) {
      LayerRecord layer = snapshot.layers->by_id.at(diff_id);
      layer.flags |= layer.store.empty() ? kDamaged : kDamaged | kElsewhere;
      RETURN_IF_ERROR(PutLayer(tx, layer));
    }
    return absl::OkStatus();
  });
}

// What to do with a name in layers/ that no record has.
enum class Leftover { kNotOurs, kTemporary, kLayer };

Leftover KindOf(const std::string& name, const Snapshot& snapshot) {
  if (name.starts_with("tmp-")) {
    return Leftover::kTemporary;
  }
  const std::string old = HexOfOldLayer(name);
  const bool unused_old = !old.empty() && !LayerInUse(snapshot, old);
  const bool layer = name.size() >= kIdLength && IsLowerHex(name);
  // An administrator's directory stays.
  return layer || unused_old ? Leftover::kLayer : Leftover::kNotOurs;
}

absl::StatusOr<std::vector<std::string>> StrayTrees(const Paths& paths, const Snapshot& snapshot) {
  std::set<std::string> known;
  for (const auto& [diff_id, layer] : snapshot.layers->by_id) {
    known.insert(diff_id.hex());
  }
  std::vector<std::string> garbage;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(paths.Layers()));
  for (const std::string& name : names) {
    const Leftover kind = known.contains(name) ? Leftover::kNotOurs : KindOf(name, snapshot);
    if (kind == Leftover::kNotOurs) {
      continue;
    }
    log::Info("layer {}: no record holds it, removing", ShortId(name));
    std::string path = JoinPath(paths.Layers(), name);
    if (kind == Leftover::kLayer) {  // the same layer may be pulled while this one is deleted
      const std::string aside = paths.NewTempLayer();
      if (rename(path.c_str(), aside.c_str()) != 0) {
        return ErrnoStatus(errno, "rename " + path);
      }
      path = aside;
    }
    garbage.push_back(path);
  }
  return garbage;
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

absl::StatusOr<Recovered> Recover(const Paths& paths, Db& db, const AdditionalStores& elsewhere) {
  Recovered recovered;
  Snapshot& snapshot = recovered.snapshot;
  ASSIGN_OR_RETURN(snapshot, LoadSnapshot(db));
  ResolveElsewhere(snapshot, elsewhere);
  const Damage damage = FindDamage(paths, snapshot);
  if (!damage.images.empty() || !damage.unheld.empty() || !damage.missing.empty()) {
    RETURN_IF_ERROR(Settle(db, snapshot, damage));
    ASSIGN_OR_RETURN(snapshot, LoadSnapshot(db));
    ResolveElsewhere(snapshot, elsewhere);
  }
  // What cannot be removed costs space, not correctness: it must not keep a node from starting.
  if (auto garbage = StrayTrees(paths, snapshot); garbage.ok()) {
    recovered.garbage = *std::move(garbage);
  } else {
    log::IfError(garbage.status(), "remove stray layers");
  }
  log::IfError(RemoveStrayContainers(paths, snapshot), "remove stray root file systems");
  log::IfError(RemoveStrayVolumes(paths, snapshot), "remove stray image volumes");
  log::IfError(RemoveScratch(paths), "remove stray mounts of images");
  return recovered;
}

}  // namespace davit::storage
