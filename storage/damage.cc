// SPDX-License-Identifier: Apache-2.0
#include "storage/damage.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/status.h"

namespace davit::storage {

bool IsPresent(const LayerTable& layers, const Digest& diff_id) {
  const auto layer = layers.by_id.find(diff_id);
  return layer != layers.by_id.end() && (layer->second.flags & kDamaged) == 0;
}

bool IsWhole(const ImageRecord& image, const LayerTable& layers) {
  return std::all_of(image.layers.begin(), image.layers.end(),
                     [&layers](const Digest& diff_id) { return IsPresent(layers, diff_id); });
}

absl::Status MarkDamaged(State& state, const Digest& diff_id) {
  absl::MutexLock lock(&state.changes);
  Snapshot next = state.snapshot();
  auto table = std::make_shared<LayerTable>(*next.layers);
  const auto layer = table->by_id.find(diff_id);
  if (layer == table->by_id.end()) {
    return absl::OkStatus();
  }
  layer->second.flags |= kDamaged;
  RETURN_IF_ERROR(
      Annotate(state.db().Write(Db::Sync::kFull,
                                [&layer](Transaction& tx) { return PutLayer(tx, layer->second); }),
               "mark layer " + diff_id.text() + " as damaged"));
  next.layers = std::move(table);
  state.Publish(std::move(next));
  return absl::OkStatus();
}

}  // namespace davit::storage
