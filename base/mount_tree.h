// SPDX-License-Identifier: Apache-2.0
//
// Copies of mounts that are changed before anybody sees them: open_tree(2) and mount_setattr(2),
// Linux 5.12.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit {

struct TreeOptions {
  // Mounts that come or go below `path` later do so in the copy, too; never the reverse.
  bool follow = false;
  bool readonly = false;    // all of it
  int user_namespace = -1;  // as base/idmapped_mount.h; -1: owners stay
  // Mounts that come or go below the one do so in the other, where `path` lies on a shared mount.
  // Not together with what changes the copy.
  bool peer = false;
  // What is copied, opened with O_PATH; `path` is its name then and is not looked up.
  int source = -1;
};

// A detached copy of the mount at `path`, a directory or a file, with all that is mounted below it;
// for AttachMount. Where one of those below cannot be ID-mapped, all of them keep their owners.
// Unimplemented if the kernel, or the file system at `path`, cannot.
absl::StatusOr<UniqueFd> CopyMountTree(const std::string& path, const TreeOptions& options);

// Copies and attaches at `target`, which is made: a directory or a file, as `path` is one.
absl::Status AttachMountTree(const std::string& path, const std::string& target,
                             const TreeOptions& options);

}  // namespace davit
