// SPDX-License-Identifier: Apache-2.0
#include "storage/size_limits.h"

#include <set>

#include "base/log.h"
#include "base/status.h"

namespace davit::storage {

absl::StatusOr<uint32_t> SizeLimits::Allocate(const RootfsTable& table, uint64_t limit) {
  if (!quota_.ok()) {
    if (limit > 0 && !warned_.exchange(true)) {
      log::Warning("size limits of root file systems are not enforced: {}",
                   Message(quota_.status()));
    }
    return 0;
  }
  std::set<uint32_t> used;
  for (const auto& [container_id, record] : table) {
    used.insert(record.project_id);
  }
  uint32_t id = kFirstProject;
  for (auto it = used.lower_bound(id); it != used.end() && *it == id; ++it) {
    ++id;
  }
  if (id > kLastProject) {
    return ResourceExhausted("no project ID is left for a root file system");
  }
  return id;
}

absl::Status SizeLimits::Apply(const std::string& directory, uint32_t project_id,
                               uint64_t limit) const {
  if (!Counts(project_id)) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(ProjectQuota::SetProject(directory, project_id));
  return quota_->SetLimit(project_id, limit);
}

void SizeLimits::Release(uint32_t project_id) const {
  if (Counts(project_id)) {
    log::IfError(quota_->SetLimit(project_id, 0), "free a project ID");
  }
}

absl::StatusOr<ProjectUsage> SizeLimits::Usage(uint32_t project_id) const {
  RETURN_IF_ERROR(quota_.status());
  return quota_->Usage(project_id);
}

}  // namespace davit::storage
