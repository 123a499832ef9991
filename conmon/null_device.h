// SPDX-License-Identifier: Apache-2.0
//
// A null device (null(4)) of one's own: its inode lies on a file system that ends with the
// descriptor. An OCI runtime may give the standard streams to the user of the container (crun
// does), who may then change their mode; the node's /dev/null is everybody's. Source: fsopen(2) and
// fsmount(2), Linux 5.2. Needs CAP_SYS_ADMIN and CAP_MKNOD.
#pragma once

#include "conmon/sys.h"

namespace davit::conmon {

// The device, for reading and writing, and the mount that it is on; both close-on-exec. The kernel
// takes milliseconds to let go of a mount: close it where nobody waits. Returns an errno.
int OpenOwnNull(Fd* device, Fd* mount);

// Puts a null device of our own where one of the descriptors 0, 1 and 2 is a null device; `mount`
// is as above. Returns an errno.
int ReplaceNullStdio(Fd* mount);

}  // namespace davit::conmon
