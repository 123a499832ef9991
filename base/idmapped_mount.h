// SPDX-License-Identifier: Apache-2.0
//
// ID-mapped mounts (mount_setattr(2), Linux 5.12): a second view of a directory in which each owner
// is another one, without a change to any file.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit {

// A detached mount of `path` in which an owner that is N on the disk is the host's ID that N inside
// `user_namespace` stands for. Lives as long as the descriptor, unless it is attached.
// Unimplemented if the kernel or the file system cannot.
absl::StatusOr<UniqueFd> IdmappedMount(const std::string& path, int user_namespace);

// Attaches a detached mount at an existing path.
absl::Status AttachMount(int mount_fd, const std::string& target);

}  // namespace davit
