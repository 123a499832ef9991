// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "absl/status/statusor.h"

#include "storage/state.h"

namespace davit::storage {

// Storage::ReadLayer.
absl::StatusOr<std::unique_ptr<LayerTar>> OpenLayerTar(const State& state, const Digest& diff_id);

}  // namespace davit::storage
