// SPDX-License-Identifier: Apache-2.0
//
// Opens files of a layer for their content. What is no regular file is looked at, never opened: to
// open a device is to do something to it, and a layer may bring the node of any.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit::storage {

struct ContentFile {
  UniqueFd fd;  // O_RDONLY
  uint64_t size = 0;
};

// `path` is resolved within `root_fd` (base/rooted_path.h); its last component is not followed.
// NotFound if there is nothing, FailedPrecondition if it is no regular file.
absl::StatusOr<ContentFile> OpenContentFile(int root_fd, const std::string& path);

}  // namespace davit::storage
