// SPDX-License-Identifier: Apache-2.0
//
// Directories of layers/ that no record names: what a failed deletion left, and damaged layers that
// have been replaced but are mounted by containers still (old-<id>-<random>).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "storage/state.h"

namespace davit::storage {

// Those that nobody uses. Layers being applied are none of them.
absl::StatusOr<std::vector<std::string>> StrayLayers(const State& state)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.changes);

// Gives all of them to the reaper; returns the names that they had.
absl::StatusOr<std::vector<std::string>> ReapStrays(State& state)
    ABSL_LOCKS_EXCLUDED(state.changes);

// The same with their sizes, on the way to deletion if `remove`. Slow.
absl::StatusOr<std::vector<Stray>> CollectStrays(State& state, bool remove)
    ABSL_LOCKS_EXCLUDED(state.changes);

// "old-<hex>-…" -> the hex; empty for any other name.
[[nodiscard]] std::string HexOfOldLayer(const std::string& name);
// Whether a container has an image with the layer, as its root or as a volume.
[[nodiscard]] bool LayerInUse(const Snapshot& snapshot, const std::string& hex);

}  // namespace davit::storage
