// SPDX-License-Identifier: Apache-2.0
//
// Who makes and removes the cgroups of pods: Davit itself ("cgroupfs"), or systemd on its behalf
// (its own issue; refused at start until then). The OCI runtime makes the container's cgroup within
// the pod's. Thread-safe, holds no state: what is whose to remove stands in the sandbox's record.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "base/cgroup.h"

namespace davit::server {

class CgroupManager {
 public:
  // `name` is runtime.cgroup_manager. FailedPrecondition names what is wrong and the remedy.
  static absl::StatusOr<std::unique_ptr<CgroupManager>> Create(const std::string& name,
                                                               const CgroupFs& fs);
  virtual ~CgroupManager() = default;

  // The pod's cgroup: the parent that the request names (the kubelet's is the pod's own), else
  // `default_parent`/pod<sandbox ID>. InvalidArgument for a name that cannot be one.
  [[nodiscard]] virtual absl::StatusOr<std::string> PodCgroup(
      const std::string& requested, const std::string& default_parent,
      const std::string& sandbox_id) const = 0;
  [[nodiscard]] virtual std::string ContainerCgroup(const std::string& pod_cgroup,
                                                    const std::string& container_id) const = 0;

  [[nodiscard]] virtual bool Exists(const std::string& cgroup) const = 0;
  [[nodiscard]] virtual absl::Status Create(const std::string& cgroup) const = 0;
  // Missing is success.
  [[nodiscard]] virtual absl::Status Remove(const std::string& cgroup) const = 0;
  // SIGKILL to all in it and below; a missing cgroup is success.
  [[nodiscard]] virtual absl::Status KillAll(const std::string& cgroup) const = 0;
};

}  // namespace davit::server
