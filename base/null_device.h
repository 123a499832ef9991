// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit {

// A null device (null(4)) of one's own, for reading and writing: its inode lies on a file system
// that ends with the descriptor. For programs that may change the owner or mode of what they are
// given; the node's /dev/null is everybody's. Source: fsopen(2) and fsmount(2), Linux 5.2. Needs
// CAP_SYS_ADMIN and CAP_MKNOD.
absl::StatusOr<UniqueFd> OpenOwnNull();

}  // namespace davit
