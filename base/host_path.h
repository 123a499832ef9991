// SPDX-License-Identifier: Apache-2.0
//
// Paths of the host that a request names, in directories where others may be at work. They are
// walked name by name with descriptors, so that what was looked at is what is used afterwards, and
// whoever does not own the machine leads nobody out of what is theirs:
//
// - A symlink of root (or of this process's user) is followed wherever it leads. A symlink of
//   another user is followed to what belongs to that user, and to nothing else.
// - Where somebody else may put another thing in the place of one that was walked, the result says
//   so: its path must not be looked up again.
//
// Root inside a container without a user namespace is root here, too.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit {

struct HostPath {
  UniqueFd fd;           // O_PATH; a directory, a file, a socket, a device
  std::string path;      // without symlinks and ".."
  bool movable = false;  // somebody other than root may put something else there
};

// `path` is absolute and without NUL. NotFound if it is not there; InvalidArgument where a symlink
// leads nowhere or in circles, or something on the way is no directory; PermissionDenied for a
// symlink of a user that leads to what is not theirs.
absl::StatusOr<HostPath> OpenHostPath(const std::string& path);

// Makes directories for what is missing, of this mode whatever the umask: what the path names,
// never what a symlink leads to; and nothing at all behind a symlink of another user.
absl::StatusOr<HostPath> MakeHostPath(const std::string& path, mode_t mode);

}  // namespace davit
