// SPDX-License-Identifier: Apache-2.0
//
// Paths inside an image, a volume or a container, resolved by the kernel beneath an open directory:
// openat2(2) (Linux 5.6) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS. An absolute symlink or ".."
// stays inside the root. Never join such a path to a host path as a string.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit {

// Opens `path` (absolute or relative, both meaning "from the root") with the root as `root_fd`.
absl::StatusOr<UniqueFd> OpenInRoot(int root_fd, const std::string& path, int flags,
                                    mode_t mode = 0);

// Like OpenInRoot, but fails on any symlink that would leave the root instead of re-rooting it
// (RESOLVE_BENEATH).
absl::StatusOr<UniqueFd> OpenBeneath(int dir_fd, const std::string& path, int flags,
                                     mode_t mode = 0);

struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
};

// mkdir -p beneath the root, following symlinks within it; returns the last directory, opened
// O_PATH. Those that are made belong to `owner`.
absl::StatusOr<UniqueFd> MakeDirsInRoot(int root_fd, const std::string& path, mode_t mode,
                                        const Owner& owner = {});

// Where `fd`, opened beneath the root, lies: "/a/b" without symlinks, "/" for the root itself. The
// root is of a mount that this process can see, and nothing is mounted within it.
absl::StatusOr<std::string> PathInRoot(int root_fd, int fd);

// A regular file of at most `max_bytes`, opened O_NONBLOCK (a FIFO cannot hang the daemon).
absl::StatusOr<std::string> ReadFileInRoot(int root_fd, const std::string& path, size_t max_bytes);

}  // namespace davit
