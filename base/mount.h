// SPDX-License-Identifier: Apache-2.0
//
// mount(2) and its new API, as free functions; and the list of mounts for proofs and for recovery.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit {

absl::Status BindMount(const std::string& source, const std::string& target, bool recursive,
                       bool readonly = false);
// nosuid,nodev,noexec; mode 1777 unless given.
absl::Status MountTmpfs(const std::string& target, uint64_t size_bytes, uint32_t mode = 01777);
// umount2(MNT_DETACH | UMOUNT_NOFOLLOW); not mounted or missing is success.
absl::Status Unmount(const std::string& target);

struct MountEntry {
  uint64_t id = 0;
  std::string root;  // path within the file system
  std::string target;
  std::string filesystem;  // "overlay", "nsfs", …
  std::string source;
  std::string super_options;
  bool shared = false;  // peer group: "shared:N" among the optional fields
  bool slave = false;   // "master:N"
};
// /proc/self/mountinfo in order, octal escapes undone.
absl::StatusOr<std::vector<MountEntry>> ListMounts();
absl::StatusOr<std::vector<MountEntry>> ParseMountInfo(const std::string& text);
// The mounts at or below a directory, deepest last.
absl::StatusOr<std::vector<MountEntry>> MountsBelow(const std::string& directory);
absl::Status UnmountAllBelow(const std::string& directory);
// The entry that `path` lies on (longest prefix, last mounted wins).
absl::StatusOr<MountEntry> MountOf(const std::string& path);

}  // namespace davit
