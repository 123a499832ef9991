// SPDX-License-Identifier: Apache-2.0
#include "storage/strays.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>
#include <string_view>

#include "base/file.h"
#include "base/id.h"
#include "base/status.h"
#include "base/text.h"
#include "storage/tree_usage.h"

namespace davit::storage {
namespace {

constexpr std::string_view kOldPrefix = "old-";

bool Holds(const Snapshot& snapshot, const std::string& image_id, const std::string& hex) {
  const auto image = snapshot.images->by_id.find(image_id);
  if (image == snapshot.images->by_id.end()) {
    return false;
  }
  const auto& layers = image->second->layers;
  return std::any_of(layers.begin(), layers.end(),
                     [&hex](const Digest& diff_id) { return diff_id.hex() == hex; });
}

}  // namespace

std::string HexOfOldLayer(const std::string& name) {
  const std::string hex =
      name.starts_with(kOldPrefix) ? name.substr(kOldPrefix.size(), kIdLength) : std::string();
  return hex.size() == kIdLength && IsLowerHex(hex) ? hex : std::string();
}

bool LayerInUse(const Snapshot& snapshot, const std::string& hex) {
  for (const auto& [container_id, rootfs] : *snapshot.rootfs) {
    if (Holds(snapshot, rootfs.image_id, hex)) {
      return true;
    }
  }
  for (const auto& [container_id, image_ids] : *snapshot.volumes) {
    for (const std::string& image_id : image_ids) {
      if (Holds(snapshot, image_id, hex)) {
        return true;
      }
    }
  }
  return false;
}

absl::StatusOr<std::vector<std::string>> StrayLayers(const State& state) {
  const Snapshot snapshot = state.snapshot();
  std::set<std::string> known;
  for (const auto& [diff_id, layer] : snapshot.layers->by_id) {
    if (layer.store.empty()) {
      known.insert(diff_id.hex());
    }
  }
  std::vector<std::string> strays = state.reaper().failed();
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(state.paths().Layers()));
  for (const std::string& name : names) {
    const std::string old = HexOfOldLayer(name);
    const bool layer = name.size() >= kIdLength && IsLowerHex(name);
    if ((layer && !known.contains(name)) || (!old.empty() && !LayerInUse(snapshot, old))) {
      strays.push_back(JoinPath(state.paths().Layers(), name));
    }
  }
  return strays;
}

absl::StatusOr<std::vector<std::string>> ReapStrays(State& state) {
  absl::MutexLock lock(&state.changes);
  ASSIGN_OR_RETURN(const std::vector<std::string> strays, StrayLayers(state));
  std::vector<std::string> garbage;
  for (const std::string& path : strays) {
    // Under a name that no commit gives: the same layer may come anew while this one is deleted.
    garbage.push_back(state.paths().NewTempLayer());
    if (rename(path.c_str(), garbage.back().c_str()) != 0) {
      return ErrnoStatus(errno, "rename " + path);
    }
  }
  state.reaper().Add(garbage);
  return strays;
}

absl::StatusOr<std::vector<Stray>> CollectStrays(State& state, bool remove) {
  std::vector<std::string> paths;
  {
    absl::MutexLock lock(&state.changes);
    ASSIGN_OR_RETURN(paths, StrayLayers(state));
  }
  std::vector<Stray> strays;
  for (const std::string& path : paths) {
    const absl::StatusOr<TreeUsage> usage = MeasureTree(path);
    strays.push_back({.path = path, .bytes = usage.ok() ? usage->bytes : 0});
  }
  if (remove) {
    RETURN_IF_ERROR(ReapStrays(state).status());
  }
  return strays;
}

}  // namespace davit::storage
