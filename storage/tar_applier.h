// SPDX-License-Identifier: Apache-2.0
//
// Turns the tar of one layer (image-spec "Image Layer Filesystem Changeset") into an overlay diff
// directory: whiteouts become character devices 0:0, opaque markers the attribute
// trusted.overlay.opaque. Entries apply in order, a later one replaces an earlier one of its name.
// Owner, mode, times, user.* attributes, POSIX ACLs and file capabilities are kept; other
// attributes, above all trusted.overlay.*, are not the archive's to set.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"

#include "storage/byte_source.h"

namespace davit::storage {

struct ApplyLimits {
  uint64_t max_bytes = 0;
  uint64_t max_files = 0;
  bool allow_devices = true;  // else a device node in the archive is refused
};

struct ApplyResult {
  uint64_t bytes = 0;  // data written to regular files, holes not counted
  uint64_t files = 0;  // entries made
  uint32_t flags = 0;  // LayerFlags
};

// Makes a directory of the layer opaque: LayerTree::SetOpaque, or who has the power to do so.
using OpaqueSetter = std::function<absl::Status(int dir_fd, const std::string& path)>;

// Reads `source` to the end marker. In the (empty) directory it makes diff/, the result; implied,
// the list of parents that the archive has no entry for (storage/implied_dirs.h), if there are any;
// trash/, which may go. On failure what was written stays, for the caller to remove.
// The process is the applier's alone for the time: it changes umask and working directory.
absl::StatusOr<ApplyResult> ApplyTar(ByteSource& source, int directory_fd,
                                     const ApplyLimits& limits, const OpaqueSetter& set_opaque);

}  // namespace davit::storage
