// SPDX-License-Identifier: Apache-2.0
//
// The writable layer of a container before anything has run in it.
#pragma once

#include <string>

#include "absl/status/status.h"

#include "storage/paths.h"
#include "storage/records.h"

namespace davit::storage {

// Makes upper and work. "/" of the container is as the topmost layer that has an entry for it says,
// and so is every directory that the layers above that one only imply (storage/implied_dirs.h).
absl::Status MakeUpper(const std::string& container_id, const ImageRecord& image,
                       const LayerTable& layers, const IdMappings& mappings, const Paths& paths);

}  // namespace davit::storage
