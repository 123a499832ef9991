// SPDX-License-Identifier: Apache-2.0
//
// Layers that are not what they should be, and directories that nothing names.
//
// A damaged layer keeps its record and its directory, with a mark: to pulls it is absent, and so
// are the images that hold it, so that the next pull fetches it, and nothing but it. Containers
// that were made from such an image keep working. When the good layer comes, the old directory
// becomes layers/old-<id>-<random> if a container still has it mounted; it goes with the last of
// them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "storage/state.h"

namespace davit::storage {

// It is there and not marked.
[[nodiscard]] bool IsPresent(const LayerTable& layers, const Digest& diff_id);
// All layers of the image are.
[[nodiscard]] bool IsWhole(const ImageRecord& image, const LayerTable& layers);

// Durable; unknown is success.
absl::Status MarkDamaged(State& state, const Digest& diff_id) ABSL_LOCKS_EXCLUDED(state.changes);

}  // namespace davit::storage
