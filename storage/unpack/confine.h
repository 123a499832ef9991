// SPDX-License-Identifier: Apache-2.0
//
// Takes from the calling process, which has one thread, all that applying a layer does not need;
// see docs/security.md for the reasons. Afterwards
//   - its root is `directory_fd`, on a mount of its own without devices, set-ID bits and programs,
//     so that a device node it makes cannot be opened by it;
//   - it has the capabilities CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD and SETFCAP, no others,
//   and
//     can get none;
//   - a seccomp filter leaves the system calls for files below it, its memory and open sockets: no
//     new socket, process, mount, signal or program;
//   - its memory and its files have limits.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit::storage::unpack {

// Returns the directory to work in: "/" of the process. Cannot be undone. Linux 5.12.
absl::StatusOr<UniqueFd> Confine(int directory_fd);

}  // namespace davit::storage::unpack
