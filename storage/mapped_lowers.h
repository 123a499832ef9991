// SPDX-License-Identifier: Apache-2.0
//
// The layers of an image as a pod with a user namespace shall see them. Where the kernel and the
// file system can, as ID-mapped mounts: nothing is copied or changed. Elsewhere as a layer of the
// container's own on top of them, in which every file has its new owner and, by overlay's metacopy,
// still the data of the image.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "storage/id_mapping.h"
#include "storage/lower_mounts.h"

namespace davit::storage {

// True if mounts of this directory's file system can be ID-mapped.
absl::StatusOr<bool> CanIdmap(const std::string& directory);

// The same directories, ID-mapped, for as long as `mounts` lives.
absl::StatusOr<std::vector<std::string>> IdmapLowers(const std::vector<std::string>& lowers,
                                                     const IdMappings& mappings,
                                                     LowerMounts& mounts);

// The overlay options that a stack with such a layer is mounted with.
std::vector<std::string> ChownOptions();

// Makes `directory`/upper, a layer that stands on top of `lowers`. Takes time for each file of the
// image, not for its bytes. Links between files of the image are not kept.
absl::Status MakeChownLayer(const std::vector<std::string>& lowers, const std::string& directory,
                            const IdMappings& mappings, const std::string& scratch);

}  // namespace davit::storage
