// SPDX-License-Identifier: Apache-2.0
//
// What a directory tree occupies. The tree may be changing and as deep as its owner likes: the walk
// holds one descriptor and follows nothing.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace davit::storage {

struct TreeUsage {
  uint64_t bytes = 0;   // blocks allocated; a file with several links counts once
  uint64_t inodes = 0;  // with the directory itself
};

// NotFound if it is missing, Unavailable if it kept changing under the walk.
absl::StatusOr<TreeUsage> MeasureTree(const std::string& path);

}  // namespace davit::storage
