// SPDX-License-Identifier: Apache-2.0
#include "storage/image_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>
#include <utility>

#include "absl/cleanup/cleanup.h"

#include "base/failpoint.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "base/trace.h"
#include "storage/damage.h"
#include "storage/layer_writer.h"
#include "storage/overlay.h"
#include "storage/strays.h"

namespace davit::storage {
namespace {

constexpr std::string_view kSha256Prefix = "sha256:";
constexpr size_t kMinPrefix = 3;

absl::Status Validate(const ImageRecord& image) {
  if (image.id.size() != kIdLength || !IsLowerHex(image.id)) {
    return InvalidArgument("image ID '{}' is not 64 lower-case hex digits", Printable(image.id));
  }
  for (const auto* names : {&image.tags, &image.digests}) {
    for (const std::string& name : *names) {
      if (name.empty() || name.find('\0') != std::string::npos) {
        return InvalidArgument("image {} has an empty or malformed name", ShortId(image.id));
      }
    }
  }
  const std::set<Digest> distinct(image.layers.begin(), image.layers.end());
  if (distinct.size() > kMaxLowers) {
    return InvalidArgument("image {} has {} layers, an overlay mount holds {}", ShortId(image.id),
                           distinct.size(), kMaxLowers);
  }
  return absl::OkStatus();
}

void AddName(std::vector<std::string>& names, const std::string& name) {
  const auto at = std::lower_bound(names.begin(), names.end(), name);
  if (at == names.end() || *at != name) {
    names.insert(at, name);
  }
}

bool HasName(const ImageRecord& image, const std::string& name) {
  return std::find(image.tags.begin(), image.tags.end(), name) != image.tags.end() ||
         std::find(image.digests.begin(), image.digests.end(), name) != image.digests.end();
}

// The table with `name` taken from the image that has it.
void TakeName(ImageTable& table, const std::string& name) {
  const auto owner = table.by_name.find(name);
  if (owner == table.by_name.end()) {
    return;
  }
  auto& slot = table.by_id[owner->second];
  auto changed = std::make_shared<ImageRecord>(*slot);
  std::erase(changed->tags, name);
  std::erase(changed->digests, name);
  slot = std::move(changed);
  table.by_name.erase(owner);
}

// The image as it will be: what is known of it already with the new names.
ImageRecord Merge(const ImageTable& table, const ImageRecord& image, const LayerTable& layers) {
  ImageRecord merged = image;
  merged.tags.clear();
  merged.digests.clear();
  const auto old = table.by_id.find(image.id);
  if (old != table.by_id.end() && old->second->store.empty()) {
    merged = *old->second;
    merged.pinned = merged.pinned || image.pinned;
  }
  merged.store.clear();  // where an additional store has the image, ours stands before it
  merged.pulled_at_ns = image.pulled_at_ns != 0 ? image.pulled_at_ns : NowNanos();
  merged.size = merged.config_json.size() + merged.manifest_json.size();
  const std::set<Digest> distinct(merged.layers.begin(), merged.layers.end());
  for (const Digest& diff_id : distinct) {
    merged.size += layers.by_id.at(diff_id).info.size;
  }
  for (const std::string& name : image.tags) {
    AddName(merged.tags, name);
  }
  for (const std::string& name : image.digests) {
    AddName(merged.digests, name);
  }
  return merged;
}

std::shared_ptr<const ImageTable> TableWith(const ImageTable& old, const ImageRecord& merged) {
  auto table = std::make_shared<ImageTable>(old);
  for (const auto* names : {&merged.tags, &merged.digests}) {
    for (const std::string& name : *names) {
      TakeName(*table, name);
      table->by_name[name] = merged.id;
    }
  }
  table->by_id[merged.id] = std::make_shared<const ImageRecord>(merged);
  return table;
}

using Staged = std::vector<std::shared_ptr<StagedLayer>>;

// Those of the given layers that the image needs and that are not here yet.
absl::StatusOr<Staged> Missing(const ImageRecord& image, const LayerTable& present,
                               const std::vector<std::shared_ptr<PendingLayer>>& given) {
  Staged missing;
  std::set<Digest> seen;
  for (const Digest& diff_id : image.layers) {
    if (IsPresent(present, diff_id) || !seen.insert(diff_id).second) {
      continue;
    }
    const auto found = std::find_if(given.begin(), given.end(), [&diff_id](const auto& layer) {
      const auto staged = std::dynamic_pointer_cast<StagedLayer>(layer);
      return staged != nullptr && staged->info().diff_id == diff_id && !staged->taken();
    });
    if (found == given.end()) {
      return FailedPrecondition("commit image {}: layer {} is not here (any more); pull again",
                                ShortId(image.id), diff_id.text());
    }
    missing.push_back(std::static_pointer_cast<StagedLayer>(*found));
  }
  return missing;
}

absl::Status Rename(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    return ErrnoStatus(errno, fmt::format("rename {} to {}", from, to));
  }
  return absl::OkStatus();
}

// Gives the staged layers their names; takes them back unless told to keep them.
class Placement {
 public:
  // `stale`: takes directories that were in the way, for the caller to delete.
  Placement(const Paths& paths, const Snapshot& now, std::vector<std::string>& stale)
      : paths_(paths), now_(now), stale_(stale) {}
  ~Placement() {
    for (const auto& layer : placed_) {
      log::IfError(Rename(paths_.Layer(layer->info().diff_id), layer->directory()),
                   "take back a layer");
    }
  }
  Placement(const Placement&) = delete;
  Placement& operator=(const Placement&) = delete;

  absl::Status Place(const Staged& layers, bool sync) {
    for (const auto& layer : layers) {
      const std::string target = paths_.Layer(layer->info().diff_id);
      if (PathExists(target)) {
        RETURN_IF_ERROR(MoveAway(layer->info().diff_id));
        RETURN_IF_ERROR(failpoint::Hit("storage.commit_image.after_move_away"));
      }
      RETURN_IF_ERROR(Rename(layer->directory(), target));
      placed_.push_back(layer);
    }
    if (!sync || layers.empty()) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const UniqueFd dir, Open(paths_.Layers(), O_RDONLY | O_DIRECTORY));
    return fsync(dir.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "sync the layers");
  }

  // What a failed removal left, or a damaged layer. That may be mounted.
  absl::Status MoveAway(const Digest& diff_id) {
    if (LayerInUse(now_, diff_id.hex())) {
      return Rename(paths_.Layer(diff_id), paths_.NewOldLayer(diff_id));
    }
    stale_.push_back(paths_.NewTempLayer());
    return Rename(paths_.Layer(diff_id), stale_.back());
  }

  void Keep() {
    for (const auto& layer : placed_) {
      layer->MarkTaken();
    }
    placed_.clear();
  }

 private:
  const Paths& paths_;
  const Snapshot now_;
  std::vector<std::string>& stale_;
  Staged placed_;
};

absl::Status SyncData(const State& state) {
  RETURN_IF_ERROR(failpoint::Hit("storage.commit_image.before_sync"));
  if (state.options().sync) {
    const trace::Span span("sync");
    ASSIGN_OR_RETURN(const UniqueFd dir, Open(state.paths().Layers(), O_RDONLY | O_DIRECTORY));
    if (syncfs(dir.get()) != 0) {
      return ErrnoStatus(errno, "write the layers to the disk below " + state.paths().root());
    }
  }
  return failpoint::Hit("storage.commit_image.after_sync");
}

// One commit, worked out before anything is touched.
struct Change {
  Snapshot next;
  ImageRecord image;  // with the names and what else was known of it
  Staged added;
  std::vector<std::pair<Digest, Digest>> blobs;
};

absl::StatusOr<Change> Plan(Snapshot now, const ImageRecord& image,
                            const std::vector<std::shared_ptr<PendingLayer>>& layers) {
  Change change;
  ASSIGN_OR_RETURN(change.added, Missing(image, *now.layers, layers));
  auto table = std::make_shared<LayerTable>(*now.layers);
  for (const auto& layer : change.added) {
    table->by_id[layer->info().diff_id] = layer->record();
  }
  for (const auto& layer : layers) {
    const LayerInfo& info = layer->info();
    if (!info.blob.empty() && table->by_id.contains(info.diff_id)) {
      change.blobs.emplace_back(info.blob, info.diff_id);
      table->by_blob[info.blob] = info.diff_id;
    }
  }
  change.image = Merge(*now.images, image, *table);
  change.next = std::move(now);
  change.next.images = TableWith(*change.next.images, change.image);
  change.next.layers = std::move(table);
  return change;
}

absl::Status WriteChange(Transaction& tx, const Change& change) {
  for (const auto& layer : change.added) {
    RETURN_IF_ERROR(PutLayer(tx, layer->record()));
  }
  for (const Digest& diff_id : change.image.layers) {
    LayerRecord layer = change.next.layers->by_id.at(diff_id);
    if (!layer.store.empty()) {
      layer.flags |= kElsewhere;
      RETURN_IF_ERROR(PutLayer(tx, layer));
    }
  }
  for (const auto& [blob, diff_id] : change.blobs) {
    RETURN_IF_ERROR(PutBlob(tx, blob, diff_id));
  }
  RETURN_IF_ERROR(PutImage(tx, change.image));
  for (const std::string& name : change.image.tags) {
    RETURN_IF_ERROR(PutName(tx, name, change.image.id, false));
  }
  for (const std::string& name : change.image.digests) {
    RETURN_IF_ERROR(PutName(tx, name, change.image.id, true));
  }
  return absl::OkStatus();
}

// Layers that no other image holds.
std::vector<Digest> OrphansWithout(const ImageTable& images, const ImageRecord& gone) {
  std::set<Digest> orphans(gone.layers.begin(), gone.layers.end());
  for (const auto& [id, image] : images.by_id) {
    if (id != gone.id && image->store.empty()) {
      for (const Digest& diff_id : image->layers) {
        orphans.erase(diff_id);
      }
    }
  }
  return {orphans.begin(), orphans.end()};
}

std::shared_ptr<const LayerTable> LayersWithout(const LayerTable& old,
                                                const std::vector<Digest>& gone) {
  auto table = std::make_shared<LayerTable>(old);
  for (const Digest& diff_id : gone) {
    table->by_id.erase(diff_id);
    std::erase_if(table->by_blob, [&diff_id](const auto& row) { return row.second == diff_id; });
  }
  return table;
}

absl::Status CheckOurs(const ImageRecord& image) {
  if (!image.store.empty()) {
    return FailedPrecondition(
        "remove image {}: it is in the read-only store {}; it goes when it is removed there, or "
        "when "
        "the store is taken out of storage.additional_stores",
        ShortId(image.id), image.store);
  }
  return absl::OkStatus();
}

absl::Status CheckUnused(const Snapshot& now, const ImageRecord& image) {
  for (const auto& [container_id, record] : *now.rootfs) {
    if (record.image_id == image.id) {
      return FailedPrecondition("remove image {}: container {} uses it; remove the container first",
                                ShortId(image.id), ShortId(container_id));
    }
  }
  for (const auto& [container_id, image_ids] : *now.volumes) {
    if (image_ids.contains(image.id)) {
      return FailedPrecondition(
          "remove image {}: container {} uses it as a volume; remove the container first",
          ShortId(image.id), ShortId(container_id));
    }
  }
  return absl::OkStatus();
}

absl::Status WriteRemoval(Transaction& tx, const std::string& image_id,
                          const std::vector<Digest>& layers) {
  RETURN_IF_ERROR(DeleteImage(tx, image_id));
  for (const Digest& diff_id : layers) {
    RETURN_IF_ERROR(DeleteLayer(tx, diff_id));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<std::shared_ptr<const ImageRecord>>> FindInTable(
    const ImageTable& table, const std::string& id_or_name) {
  if (const auto name = table.by_name.find(id_or_name); name != table.by_name.end()) {
    return table.by_id.at(name->second);
  }
  std::string id = id_or_name;
  if (id.starts_with(kSha256Prefix)) {
    id.erase(0, kSha256Prefix.size());
  }
  if (id.size() < kMinPrefix || id.size() > kIdLength || !IsLowerHex(id)) {
    return std::nullopt;
  }
  const auto first = table.by_id.lower_bound(id);
  if (first == table.by_id.end() || !first->first.starts_with(id)) {
    return std::nullopt;
  }
  const auto second = std::next(first);
  if (second != table.by_id.end() && second->first.starts_with(id)) {
    return InvalidArgument("image ID prefix '{}' is ambiguous: {} and {}; give more digits", id,
                           ShortId(first->first), ShortId(second->first));
  }
  return first->second;
}

absl::StatusOr<std::vector<std::string>> LowersOf(const ImageRecord& image,
                                                  const LayerTable& layers, const Paths& paths) {
  std::vector<std::string> lowers;
  std::set<Digest> seen;
  for (auto it = image.layers.rbegin(); it != image.layers.rend(); ++it) {
    const auto layer = layers.by_id.find(*it);
    if (layer == layers.by_id.end()) {
      return NotFound("image {}: layer {} is not here (any more)", ShortId(image.id), it->text());
    }
    // The kernel refuses a directory twice; of two the upper one hides the lower.
    if (seen.insert(*it).second) {
      lowers.push_back(DiffOf(layer->second, paths));
    }
    if ((layer->second.flags & kOpaqueRoot) != 0) {
      break;
    }
  }
  if (lowers.empty()) {
    lowers.push_back(paths.EmptyLower());
  }
  return lowers;
}

absl::Status ImageStore::Commit(const ImageRecord& image,
                                const std::vector<std::shared_ptr<PendingLayer>>& layers) {
  RETURN_IF_ERROR(Validate(image));
  ASSIGN_OR_RETURN(const Staged synced, Missing(image, *state_.snapshot().layers, layers));
  if (!synced.empty()) {
    RETURN_IF_ERROR(SyncData(state_));
  }
  std::vector<std::string> stale;
  const absl::Cleanup delete_stale = [&] { state_.reaper().Add(stale); };
  absl::MutexLock lock(&state_.changes);
  ASSIGN_OR_RETURN(Change change, Plan(state_.snapshot(), image, layers));
  for (const auto& layer : change.added) {
    if (std::find(synced.begin(), synced.end(), layer) == synced.end()) {
      return FailedPrecondition("commit image {}: layer {} was removed meanwhile; pull again",
                                ShortId(image.id), layer->info().diff_id.text());
    }
  }
  Placement placement(state_.paths(), state_.snapshot(), stale);
  RETURN_IF_ERROR(placement.Place(change.added, state_.options().sync));
  RETURN_IF_ERROR(failpoint::Hit("storage.commit_image.after_rename"));
  RETURN_IF_ERROR(
      Annotate(state_.db().Write(Db::Sync::kFull,
                                 [&change](Transaction& tx) { return WriteChange(tx, change); }),
               "commit image " + ShortId(image.id)));
  placement.Keep();
  state_.Publish(std::move(change.next));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ImageStore::Drop(const ImageRecord& image) {
  Snapshot next = state_.snapshot();
  RETURN_IF_ERROR(CheckOurs(image));
  RETURN_IF_ERROR(CheckUnused(next, image));
  const std::vector<Digest> orphans = OrphansWithout(*next.images, image);
  const auto write = [&](Transaction& tx) { return WriteRemoval(tx, image.id, orphans); };
  RETURN_IF_ERROR(
      Annotate(state_.db().Write(Db::Sync::kFull, write), "remove image " + ShortId(image.id)));
  auto images = std::make_shared<ImageTable>(*next.images);
  std::erase_if(images->by_name, [&image](const auto& row) { return row.second == image.id; });
  images->by_id.erase(image.id);
  next.images = std::move(images);
  const auto before = next.layers;
  next.layers = LayersWithout(*before, orphans);
  state_.Publish(std::move(next));
  log::IfError(failpoint::Hit("storage.remove_image.after_record"), "remove image");
  // Out of the way at once, so that the same layer can be committed anew while this one is deleted.
  std::vector<std::string> directories;
  for (const Digest& diff_id : orphans) {
    if (const auto layer = before->by_id.find(diff_id);
        layer != before->by_id.end() && !layer->second.store.empty()) {
      continue;  // not ours
    }
    directories.push_back(state_.paths().NewTempLayer());
    log::IfError(Rename(state_.paths().Layer(diff_id), directories.back()), "remove layer");
  }
  log::IfError(failpoint::Hit("storage.remove_image.after_rename"), "remove image");
  return directories;
}

absl::Status ImageStore::RemoveName(const std::string& name) {
  std::vector<std::string> directories;
  {
    absl::MutexLock lock(&state_.changes);
    Snapshot next = state_.snapshot();
    const auto owner = next.images->by_name.find(name);
    if (owner == next.images->by_name.end()) {
      return absl::OkStatus();
    }
    const std::shared_ptr<const ImageRecord> image = next.images->by_id.at(owner->second);
    RETURN_IF_ERROR(CheckOurs(*image));
    if (!HasName(*image, name)) {
      return FailedPrecondition(
          "remove image name {}: a read-only store of storage.additional_stores has it",
          Printable(name));
    }
    auto images = std::make_shared<ImageTable>(*next.images);
    TakeName(*images, name);
    const ImageRecord& rest = *images->by_id.at(image->id);
    const bool was_tag = rest.tags.size() != image->tags.size();
    if (rest.tags.empty() && (was_tag || rest.digests.empty())) {
      ASSIGN_OR_RETURN(directories, Drop(*image));
    } else {
      RETURN_IF_ERROR(
          Annotate(state_.db().Write(Db::Sync::kFull,
                                     [&name](Transaction& tx) { return DeleteName(tx, name); }),
                   "remove image name " + name));
      next.images = std::move(images);
      state_.Publish(std::move(next));
    }
  }
  state_.reaper().Add(directories);
  return absl::OkStatus();
}

absl::Status ImageStore::Remove(const std::string& image_id) {
  std::vector<std::string> directories;
  {
    absl::MutexLock lock(&state_.changes);
    ASSIGN_OR_RETURN(const auto image, FindInTable(*state_.snapshot().images, image_id));
    if (!image) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(directories, Drop(**image));
  }
  state_.reaper().Add(directories);
  return absl::OkStatus();
}

absl::Status ImageStore::WithRoot(const std::string& image_id,
                                  const std::function<absl::Status(int root_fd)>& body) {
  const Snapshot snapshot = state_.snapshot();
  ASSIGN_OR_RETURN(const auto image, FindInTable(*snapshot.images, image_id));
  if (!image) {
    return NotFound("image {} is not here; pull it first", Printable(image_id));
  }
  const Paths& paths = state_.paths();
  ASSIGN_OR_RETURN(std::vector<std::string> lowers, LowersOf(**image, *snapshot.layers, paths));
  const bool plain =
      lowers.size() == 1 &&
      ((*image)->layers.empty() ||
       (snapshot.layers->by_id.at((*image)->layers.back()).flags & kHasWhiteouts) == 0);
  UniqueFd root;
  if (plain) {
    ASSIGN_OR_RETURN(root, Open(lowers.front(), O_PATH | O_DIRECTORY));
  } else {
    if (lowers.size() == 1) {
      lowers.push_back(paths.EmptyLower());
    }
    const OverlaySpec spec{.lowers = std::move(lowers),
                           .upper = "",
                           .work = "",
                           .options = {"ro", "nosuid", "nodev", "noexec"}};
    ASSIGN_OR_RETURN(root, OpenOverlay(spec, paths.Scratch()));
  }
  const absl::Status result = body(root.get());
  // A layer that was deleted below the reader's feet shows the files of those beneath it.
  if (!state_.snapshot().images->by_id.contains((*image)->id)) {
    return NotFound("image {} was removed while it was read", ShortId((*image)->id));
  }
  return result;
}

}  // namespace davit::storage
