// SPDX-License-Identifier: Apache-2.0
//
// Project quotas: a limit on all files that carry a project ID, and how much they use. Directories
// hand their ID on to whatever is made in them (FS_XFLAG_PROJINHERIT). ext4 has them with the
// features `quota` and `project` and the mount option `prjquota`, XFS with `pquota`.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace davit {

struct ProjectUsage {
  uint64_t bytes = 0;
  uint64_t inodes = 0;
  uint64_t byte_limit = 0;  // 0: none
};

// Of one file system, that of an open directory. Stateless; thread-safe.
class ProjectQuota {
 public:
  // Unimplemented, with the reason and what to do, where limits are not enforced.
  static absl::StatusOr<ProjectQuota> Open(const std::string& directory);

  // Gives an empty directory the ID and makes it hand it on.
  static absl::Status SetProject(const std::string& directory, uint32_t project_id);
  // 0: none.
  static absl::StatusOr<uint32_t> GetProject(const std::string& directory);

  // 0 lifts the limit.
  absl::Status SetLimit(uint32_t project_id, uint64_t bytes) const;
  absl::StatusOr<ProjectUsage> Usage(uint32_t project_id) const;

 private:
  explicit ProjectQuota(std::string directory) : directory_(std::move(directory)) {}
  std::string directory_;
};

}  // namespace davit
