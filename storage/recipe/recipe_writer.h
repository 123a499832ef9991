// SPDX-License-Identifier: Apache-2.0
//
// Records the recipe of a layer (storage/recipe/recipe_format.h) from its tar while that is
// applied. Costs a CRC-32 over the stream and a fast compression of the headers; the memory of a
// name is 16 bytes. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace davit::storage {

class RecipeWriter {
 public:
  // `directory` is the layer's and exists; the file is made at the first Write.
  static absl::StatusOr<std::unique_ptr<RecipeWriter>> Create(const std::string& directory);
  virtual ~RecipeWriter() = default;

  // The uncompressed tar in any portions.
  virtual absl::Status Write(std::span<const uint8_t> bytes) = 0;

  // End of the stream. The layer is applied: diff/ is complete, and what later entries replaced is
  // in trash/. False if this tar cannot be made again from them (then there is no recipe): it is
  // hostile or of a kind that nobody writes.
  virtual absl::StatusOr<bool> Finish() = 0;
};

}  // namespace davit::storage
