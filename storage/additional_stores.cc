// SPDX-License-Identifier: Apache-2.0
#include "storage/additional_stores.h"

#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"

#include "base/db.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status.h"

namespace davit::storage {
namespace {

constexpr size_t kMaxDatabase = size_t{1} << 30U;
constexpr uint32_t kOwnMarks = kElsewhere | kDamaged;

absl::Status Copy(const std::string& from, const std::string& to) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(from, kMaxDatabase));
  return WriteFileAtomic(to, bytes, 0600);
}

absl::StatusOr<Snapshot> ReadStore(const std::string& root, const std::string& scratch) {
  const absl::Cleanup remove = [&scratch] {
    log::IfError(RemoveTree(scratch), "remove the copy of a database");
  };
  RETURN_IF_ERROR(RemoveTree(scratch));
  RETURN_IF_ERROR(MakeDirs(scratch, 0700));
  for (const std::string name : {"davit.db", "davit.db-wal"}) {
    const std::string from = JoinPath(root, name);
    if (name == "davit.db" || PathExists(from)) {  // the log is gone after an orderly end
      RETURN_IF_ERROR(Copy(from, JoinPath(scratch, name)));
    }
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Db> db, Db::Open(JoinPath(scratch, "davit.db")));
  RETURN_IF_ERROR(db->Migrate(Migrations()));
  return LoadSnapshot(*db);
}

// Those layers of a store that lie there themselves, and are good.
void TakeLayers(const LayerTable& found, const std::string& root, LayerTable& into) {
  for (const auto& [diff_id, layer] : found.by_id) {
    if ((layer.flags & kOwnMarks) == 0) {
      LayerRecord taken = layer;
      taken.store = root;
      into.by_id.emplace(diff_id, std::move(taken));
    }
  }
  for (const auto& [blob, diff_id] : found.by_blob) {
    if (into.by_id.contains(diff_id)) {
      into.by_blob.emplace(blob, diff_id);
    }
  }
}

// After the layers: an image that lacks one is none.
void TakeImages(const ImageTable& found, const std::string& root, AdditionalStores& into) {
  for (const auto& [id, image] : found.by_id) {
    bool whole = true;
    for (const Digest& diff_id : image->layers) {
      whole = whole && into.layers.by_id.contains(diff_id);
    }
    if (!whole) {
      log::Warning("image {} of {}: a layer is not there; the image is left out", id, root);
      continue;
    }
    auto taken = std::make_shared<ImageRecord>(*image);
    taken->store = root;
    into.images.by_id.emplace(id, std::move(taken));
  }
}

}  // namespace

AdditionalStores ReadAdditionalStores(const std::vector<std::string>& roots,
                                      const std::string& scratch) {
  AdditionalStores stores;
  for (const std::string& root : roots) {
    absl::StatusOr<Snapshot> found = ReadStore(root, scratch);
    if (!found.ok()) {
      log::Error("additional store {} is left out: {}", root, Message(found.status()));
      continue;
    }
    TakeLayers(*found->layers, root, stores.layers);
    TakeImages(*found->images, root, stores);
    log::Info("additional store {} has {} images", root, found->images->by_id.size());
  }
  return stores;
}

void ResolveElsewhere(Snapshot& snapshot, const AdditionalStores& stores) {
  auto layers = std::make_shared<LayerTable>(*snapshot.layers);
  for (auto& [diff_id, layer] : layers->by_id) {
    const auto theirs = stores.layers.by_id.find(diff_id);
    if ((layer.flags & kElsewhere) != 0 && theirs != stores.layers.by_id.end()) {
      layer = theirs->second;
    }
  }
  snapshot.layers = std::move(layers);
}

void ShowAdditional(Snapshot& snapshot, const AdditionalStores& stores) {
  if (stores.empty()) {
    return;
  }
  auto layers = std::make_shared<LayerTable>(*snapshot.layers);
  layers->by_id.insert(stores.layers.by_id.begin(), stores.layers.by_id.end());
  layers->by_blob.insert(stores.layers.by_blob.begin(), stores.layers.by_blob.end());
  snapshot.layers = std::move(layers);

  auto images = std::make_shared<ImageTable>(*snapshot.images);
  std::erase_if(images->by_id, [](const auto& row) { return !row.second->store.empty(); });
  images->by_name.clear();
  for (const auto& [id, image] : images->by_id) {
    for (const auto* names : {&image->tags, &image->digests}) {
      for (const std::string& name : *names) {
        images->by_name[name] = id;
      }
    }
  }
  for (const auto& [id, image] : stores.images.by_id) {
    if (images->by_id.contains(id)) {  // ours, which is found by their names, too
      for (const auto* names : {&image->tags, &image->digests}) {
        for (const std::string& name : *names) {
          images->by_name.emplace(name, id);
        }
      }
      continue;
    }
    auto shown = std::make_shared<ImageRecord>(*image);
    for (auto* names : {&shown->tags, &shown->digests}) {
      std::erase_if(*names, [&](const std::string& name) {
        return !images->by_name.emplace(name, id).second;
      });
    }
    images->by_id.emplace(id, std::move(shown));
  }
  snapshot.images = std::move(images);
}

std::string DirectoryOf(const LayerRecord& layer, const Paths& ours) {
  return layer.store.empty() ? ours.Layer(layer.info.diff_id)
                             : Paths(layer.store, "").Layer(layer.info.diff_id);
}

std::string DiffOf(const LayerRecord& layer, const Paths& ours) {
  return layer.store.empty() ? ours.Diff(layer.info.diff_id)
                             : Paths(layer.store, "").Diff(layer.info.diff_id);
}

}  // namespace davit::storage
