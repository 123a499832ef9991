// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "server/cgroup/managers.h"
#include "server/cgroup/names.h"
#include "server/cgroup/pod_resources.h"

namespace davit::server {

absl::StatusOr<std::string> CgroupfsManager::PodCgroup(const std::string& requested,
                                                       const std::string& default_parent,
                                                       const std::string& sandbox_id) const {
  if (!requested.empty()) {
    if (IsSlice(requested)) {
      return InvalidArgument(
          "cgroup parent {} is a slice of systemd, but runtime.cgroup_manager is cgroupfs; it has "
          "to be what cgroupDriver of the kubelet is",
          Printable(requested));
    }
    return NormalizeCgroup(requested);
  }
  ASSIGN_OR_RETURN(const std::string parent, NormalizeCgroup(default_parent));
  return JoinPath(parent, "pod" + sandbox_id);
}

std::string CgroupfsManager::ContainerCgroup(const std::string& pod_cgroup,
                                             const std::string& container_id) const {
  return JoinPath(pod_cgroup, container_id);
}

std::string CgroupfsManager::OwnCgroup(const std::string& parent, const std::string& kind,
                                       const std::string& id) const {
  return JoinPath(parent, kind + "-" + id);
}

std::string CgroupfsManager::OciPath(const std::string& container_cgroup) const {
  return container_cgroup;
}

bool CgroupfsManager::MadeBySystemd(const std::string& /*container_cgroup*/) const {
  return false;
}

bool CgroupfsManager::Exists(const std::string& cgroup) const {
  return fs_.Exists(cgroup);
}

absl::Status CgroupfsManager::Create(const std::string& cgroup) const {
  return fs_.Create(cgroup).status();
}

absl::Status CgroupfsManager::Adopt(const std::string& cgroup, pid_t pid) const {
  RETURN_IF_ERROR(fs_.Create(cgroup).status());
  return fs_.Attach(cgroup, pid);
}

absl::Status CgroupfsManager::Remove(const std::string& cgroup) const {
  return fs_.Remove(cgroup);
}

absl::Status CgroupfsManager::KillAll(const std::string& cgroup) const {
  const absl::Status status = fs_.KillAll(cgroup);
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status CgroupfsManager::SetResources(
    const std::string& cgroup, const runtime::v1::LinuxContainerResources& resources) const {
  return ApplyPodResources(fs_, cgroup, resources);
}

absl::Status CgroupfsManager::NoteResources(
    const std::string& /*container_cgroup*/,
    const runtime::v1::LinuxContainerResources& /*resources*/,
    std::optional<int64_t> /*pids_limit*/) const {
  return absl::OkStatus();
}

}  // namespace davit::server
