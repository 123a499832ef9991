// SPDX-License-Identifier: Apache-2.0
//
// The two managers: for cgroup_manager.cc and the tests of this folder.
#pragma once

#include <string>

#include "server/cgroup/cgroup_manager.h"

namespace davit::server {

// mkdir and rmdir.
class CgroupfsManager : public CgroupManager {
 public:
  explicit CgroupfsManager(const CgroupFs& fs) : fs_(fs) {}

  [[nodiscard]] absl::StatusOr<std::string> PodCgroup(const std::string& requested,
                                                      const std::string& default_parent,
                                                      const std::string& sandbox_id) const override;
  [[nodiscard]] std::string ContainerCgroup(const std::string& pod_cgroup,
                                            const std::string& container_id) const override;
  [[nodiscard]] std::string OwnCgroup(const std::string& parent, const std::string& kind,
                                      const std::string& id) const override;
  [[nodiscard]] std::string OciPath(const std::string& container_cgroup) const override;
  [[nodiscard]] bool MadeBySystemd(const std::string& container_cgroup) const override;
  [[nodiscard]] bool Exists(const std::string& cgroup) const override;
  [[nodiscard]] absl::Status Create(const std::string& cgroup) const override;
  [[nodiscard]] absl::Status Adopt(const std::string& cgroup, pid_t pid) const override;
  [[nodiscard]] absl::Status Remove(const std::string& cgroup) const override;
  [[nodiscard]] absl::Status KillAll(const std::string& cgroup) const override;
  [[nodiscard]] absl::Status SetResources(
      const std::string& cgroup,
      const runtime::v1::LinuxContainerResources& resources) const override;
  [[nodiscard]] absl::Status NoteResources(const std::string& container_cgroup,
                                           const runtime::v1::LinuxContainerResources& resources,
                                           std::optional<int64_t> pids_limit) const override;

 protected:
  const CgroupFs& fs_;
};

// Units of systemd for what is named like one (*.slice, *.scope); as cgroupfs for all else, which
// that manager made before the configuration was changed.
class SystemdManager final : public CgroupfsManager {
 public:
  using CgroupfsManager::CgroupfsManager;

  // FailedPrecondition: systemd is not the init system that this process can ask.
  static absl::Status Check();

  [[nodiscard]] absl::StatusOr<std::string> PodCgroup(const std::string& requested,
                                                      const std::string& default_parent,
                                                      const std::string& sandbox_id) const override;
  [[nodiscard]] std::string ContainerCgroup(const std::string& pod_cgroup,
                                            const std::string& container_id) const override;
  [[nodiscard]] std::string OwnCgroup(const std::string& parent, const std::string& kind,
                                      const std::string& id) const override;
  [[nodiscard]] std::string OciPath(const std::string& container_cgroup) const override;
  [[nodiscard]] bool MadeBySystemd(const std::string& container_cgroup) const override;
  [[nodiscard]] absl::Status Create(const std::string& cgroup) const override;
  [[nodiscard]] absl::Status Adopt(const std::string& cgroup, pid_t pid) const override;
  [[nodiscard]] absl::Status Remove(const std::string& cgroup) const override;
  [[nodiscard]] absl::Status SetResources(
      const std::string& cgroup,
      const runtime::v1::LinuxContainerResources& resources) const override;
  [[nodiscard]] absl::Status NoteResources(const std::string& container_cgroup,
                                           const runtime::v1::LinuxContainerResources& resources,
                                           std::optional<int64_t> pids_limit) const override;
};

}  // namespace davit::server
