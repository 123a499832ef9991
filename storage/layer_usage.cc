// SPDX-License-Identifier: Apache-2.0
#include "storage/layer_usage.h"

#include <memory>
#include <utility>

#include "base/status.h"
#include "storage/tree_usage.h"

namespace davit::storage {
namespace {

bool IsMeasured(const LayerRecord& layer) {
  return layer.disk_inodes > 0 || !layer.store.empty() ||
         (layer.flags & (kDamaged | kElsewhere)) != 0;
}

absl::Status Keep(State& state, const Digest& diff_id, const TreeUsage& usage) {
  absl::MutexLock lock(&state.changes);
  Snapshot next = state.snapshot();
  auto layers = std::make_shared<LayerTable>(*next.layers);
  const auto layer = layers->by_id.find(diff_id);
  if (layer == layers->by_id.end() || IsMeasured(layer->second)) {
    return absl::OkStatus();
  }
  layer->second.disk_bytes = usage.bytes;
  layer->second.disk_inodes = usage.inodes;
  // Lost in a power cut, it is measured again.
  RETURN_IF_ERROR(state.db().Write(
      Db::Sync::kNormal, [&layer](Transaction& tx) { return PutLayer(tx, layer->second); }));
  next.layers = std::move(layers);
  state.Publish(std::move(next));
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasureLayers(State& state) {
  const auto layers = state.snapshot().layers;
  for (const auto& [diff_id, layer] : layers->by_id) {
    if (IsMeasured(layer)) {
      continue;
    }
    const absl::StatusOr<TreeUsage> usage = MeasureTree(state.paths().Layer(diff_id));
    if (absl::IsNotFound(usage.status())) {
      continue;  // removed meanwhile
    }
    RETURN_IF_ERROR(Annotate(usage.status(), "measure layer " + diff_id.text()));
    RETURN_IF_ERROR(Keep(state, diff_id, *usage));
  }
  return absl::OkStatus();
}

}  // namespace davit::storage
