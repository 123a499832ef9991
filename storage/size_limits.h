// SPDX-License-Identifier: Apache-2.0
//
// Size limits of containers' root file systems: one project ID of the file system's quotas for each
// container (base/project_quota.h). Which container has which ID is in its record, so nothing is
// forgotten over a restart, and an ID is free when its record is gone. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

#include "base/project_quota.h"
#include "storage/records.h"

namespace davit::storage {

// IDs that we give, far from those that administrators (/etc/projects) and the kubelet (from
// 1048577 on) use.
inline constexpr uint32_t kFirstProject = 0x44000000;
inline constexpr uint32_t kLastProject = 0x44ffffff;

class SizeLimits {
 public:
  // `directory`: where root file systems are.
  explicit SizeLimits(const std::string& directory) : quota_(ProjectQuota::Open(directory)) {}

  // OK if limits are enforced, else why not.
  [[nodiscard]] absl::Status status() const { return quota_.status(); }

  // An ID that no record holds; 0 if there are no quotas. If `limit` then cannot be enforced that
  // is logged, once.
  absl::StatusOr<uint32_t> Allocate(const RootfsTable& table, uint64_t limit);
  // Gives the (empty) directory the ID and the ID its limit. Nothing for ID 0.
  absl::Status Apply(const std::string& directory, uint32_t project_id, uint64_t limit) const;
  // Lifts the limit of an ID that is free now.
  void Release(uint32_t project_id) const;

  // True if Usage can tell: the ID is one of quotas that are on.
  [[nodiscard]] bool Counts(uint32_t project_id) const { return project_id != 0 && quota_.ok(); }
  absl::StatusOr<ProjectUsage> Usage(uint32_t project_id) const;

 private:
  const absl::StatusOr<ProjectQuota> quota_;
  std::atomic<bool> warned_ = false;
};

}  // namespace davit::storage
