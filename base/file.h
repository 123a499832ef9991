// SPDX-License-Identifier: Apache-2.0
//
// Whole files and directory trees on the host side (paths that the daemon itself chose). Paths
// inside an image or container go through base/rooted_path.h.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit {

// open(2) with O_CLOEXEC added. The error names the path.
absl::StatusOr<UniqueFd> Open(const std::string& path, int flags, mode_t mode = 0600);
absl::StatusOr<UniqueFd> OpenAt(int dir_fd, const std::string& name, int flags, mode_t mode = 0600);

// The whole file; ResourceExhausted if longer than `max_bytes`. Works for /proc and /sys files.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes = 16U << 20U);
absl::StatusOr<std::string> ReadFileAt(int dir_fd, const std::string& name,
                                       size_t max_bytes = 16U << 20U);
// Reads an open descriptor to its end.
absl::StatusOr<std::string> ReadFd(int fd, size_t max_bytes, const std::string& what);
absl::Status WriteFd(int fd, std::string_view data, const std::string& what);

// One open-write-close without O_CREAT: for /proc, /sys and cgroup files.
absl::Status WriteExisting(const std::string& path, std::string_view data);

enum class Durability { kVolatile, kDurable };
// Writes a temporary beside `path`, then renames over it. kDurable: fsync of file and directory.
absl::Status WriteFileAtomic(const std::string& path, std::string_view data, mode_t mode = 0600,
                             Durability durability = Durability::kVolatile);

// mkdir -p; directories made get `mode` whatever the umask. An existing directory is success.
absl::Status MakeDirs(const std::string& path, mode_t mode = 0700);

// rm -rf that never follows symlinks and never crosses into another mount (FailedPrecondition names
// the mount found). A missing path is success.
absl::Status RemoveTree(const std::string& path);
// Removes one file or empty directory; missing is success.
absl::Status RemoveFile(const std::string& path);

// Names in a directory without "." and "..", sorted.
absl::StatusOr<std::vector<std::string>> ListDir(const std::string& path);

bool PathExists(const std::string& path);

// a/b from a and b, one slash between; the only place where host paths are joined by hand.
std::string JoinPath(std::string_view a, std::string_view b);

}  // namespace davit
