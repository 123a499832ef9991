// SPDX-License-Identifier: Apache-2.0
#include "storage/layer_tar.h"

#include <utility>

#include "base/status.h"
#include "storage/recipe/recipe_reader.h"

namespace davit::storage {
namespace {

class LayerTarImpl : public LayerTar {
 public:
  explicit LayerTarImpl(std::unique_ptr<RecipeReader> reader) : reader_(std::move(reader)) {}
  [[nodiscard]] uint64_t tar_size() const override { return reader_->tar_size(); }
  absl::StatusOr<std::span<const uint8_t>> Next() override { return reader_->Next(); }

 private:
  const std::unique_ptr<RecipeReader> reader_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LayerTar>> OpenLayerTar(const State& state, const Digest& diff_id) {
  const auto layers = state.snapshot().layers;
  const auto layer = layers->by_id.find(diff_id);
  if (layer == layers->by_id.end()) {
    return NotFound("layer {} is not here", diff_id.text());
  }
  if ((layer->second.flags & kHasRecipe) == 0) {
    return FailedPrecondition(
        "layer {} cannot be made again from its files: it was applied with storage.recipes off, by "
        "an older version, or its tar is of a kind that no tool writes; pull the image again for "
        "the "
        "first two",
        diff_id.text());
  }
  absl::StatusOr<std::unique_ptr<RecipeReader>> reader =
      RecipeReader::Open(DirectoryOf(layer->second, state.paths()), nullptr);
  if (!reader.ok()) {
    return Annotate(reader.status(), "layer " + diff_id.text());
  }
  return std::make_unique<LayerTarImpl>(*std::move(reader));
}

}  // namespace davit::storage
