// SPDX-License-Identifier: Apache-2.0
//
// Compares the entries of a layer's tar with its diff directory. The content of files is not read:
// whoever made the tar from them has done that. One thread; memory for each name 16 bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "storage/byte_source.h"

namespace davit::storage {

struct TreeDifferences {
  std::vector<std::string> list;  // "usr/bin/x has mode 0644 instead of 0755"; the first ones
  uint64_t count = 0;
};

// Reads `tar` to the end of the stream. `directory` holds diff/.
absl::StatusOr<TreeDifferences> CompareTree(ByteSource& tar, const std::string& directory);

}  // namespace davit::storage
