// SPDX-License-Identifier: Apache-2.0
//
// Directories that a layer's tar has no entry for, though it has entries below them ("tmp/x"
// without "tmp/"). In the layer they are root's, 0755, and would hide what a lower layer says of
// them: a /tmp that nobody may write to. The layer keeps a list of them beside diff/; the upper
// directory of a container gets them with owner, mode, attributes and time of the layer that does
// say something.
//
// The list is written by the applier, which has read foreign bytes: whoever reads it trusts
// nothing.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "storage/id_mapping.h"

namespace davit::storage {

// More are not listed: they keep root's, 0755.
inline constexpr size_t kMaxImpliedDirs = 20'000;

// `directory_fd`/implied, names separated by NUL.
absl::Status WriteImpliedDirs(int directory_fd, const std::set<std::string>& paths);

// Normalised paths. Empty if there is no list.
absl::StatusOr<std::set<std::string>> ReadImpliedDirs(const std::string& layer_directory);

struct LayerView {
  std::string diff;  // absolute path
  std::set<std::string> implied;
};

// Makes in `upper` (absolute path, empty but for itself) the directories whose topmost layer only
// implies them, if a lower layer says what they are like. `layers` from the topmost on. Owners
// are those of the layers, mapped.
absl::Status MakeImpliedDirs(const std::vector<LayerView>& layers, const std::string& upper,
                             const IdMappings& mappings);

}  // namespace davit::storage
