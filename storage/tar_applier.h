// SPDX-License-Identifier: Apache-2.0
//
// Turns the tar of one layer (image-spec "Image Layer Filesystem Changeset") into an overlay diff
// directory: whiteouts become character devices 0:0, opaque markers the attribute
// trusted.overlay.opaque. Entries apply in order, a later one replaces an earlier one of its name.
// Owner, mode, times, user.* attributes, POSIX ACLs and file capabilities are kept; other
// attributes, above all trusted.overlay.*, are not the archive's to set.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

#include "storage/byte_ring.h"

namespace davit::storage {

struct ApplyLimits {
  uint64_t max_bytes = 0;
  uint64_t max_files = 0;
};

struct ApplyResult {
  uint64_t bytes = 0;  // data written to regular files, holes not counted
  uint64_t files = 0;  // entries made
  uint32_t flags = 0;  // LayerFlags
};

// Reads `source` to the end marker. `directory`/diff is the result; the rest of `directory` may go.
// On failure what was written stays, for the caller to remove.
absl::StatusOr<ApplyResult> ApplyTar(ByteSource& source, const std::string& directory,
                                     const ApplyLimits& limits);

}  // namespace davit::storage
