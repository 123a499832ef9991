// SPDX-License-Identifier: Apache-2.0
//
// Who makes and removes the cgroups of pods: Davit itself ("cgroupfs"), or systemd on its behalf
// ("systemd": slices for pods, transient scopes within). The OCI runtime makes the container's
// cgroup within the pod's, in the same way. Cgroups are named by their paths whoever makes them, so
// that statistics, signals and records know no difference. Thread-safe, holds no state: what is
// whose to remove stands in the sandbox's record. What was made under the other manager stays
// usable: the path tells.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

#include "base/cgroup.h"

namespace runtime::v1 {
class LinuxContainerResources;  // server/api
}

namespace davit::server {

class CgroupManager {
 public:
  // `name` is runtime.cgroup_manager. FailedPrecondition names what is wrong and the remedy.
  static absl::StatusOr<std::unique_ptr<CgroupManager>> Create(const std::string& name,
                                                               const CgroupFs& fs);
  virtual ~CgroupManager() = default;

  // The pod's cgroup: the parent that the request names (the kubelet's is the pod's own), else one
  // for the pod in `default_parent`. InvalidArgument for a name that cannot be one.
  [[nodiscard]] virtual absl::StatusOr<std::string> PodCgroup(
      const std::string& requested, const std::string& default_parent,
      const std::string& sandbox_id) const = 0;
  [[nodiscard]] virtual std::string ContainerCgroup(const std::string& pod_cgroup,
                                                    const std::string& container_id) const = 0;
  // Where a process of Davit's own goes, beside the containers ("infra", "monitor"): on v2 a cgroup
  // with children holds no processes. `id` is whose process it is.
  [[nodiscard]] virtual std::string OwnCgroup(const std::string& parent, const std::string& kind,
                                              const std::string& id) const = 0;

  // How the OCI runtime is told of a container's cgroup: linux.cgroupsPath of its config, and
  // whether it needs --systemd-cgroup.
  [[nodiscard]] virtual std::string OciPath(const std::string& container_cgroup) const = 0;
  [[nodiscard]] virtual bool MadeBySystemd(const std::string& container_cgroup) const = 0;

  [[nodiscard]] virtual bool Exists(const std::string& cgroup) const = 0;
  // A pod's. One that is there is success.
  [[nodiscard]] virtual absl::Status Create(const std::string& cgroup) const = 0;
  // Makes a cgroup that OwnCgroup named and moves a process into it.
  [[nodiscard]] virtual absl::Status Adopt(const std::string& cgroup, pid_t pid) const = 0;
  // Any of the above. Missing is success.
  [[nodiscard]] virtual absl::Status Remove(const std::string& cgroup) const = 0;
  // SIGKILL to all in it and below; a missing cgroup is success.
  [[nodiscard]] virtual absl::Status KillAll(const std::string& cgroup) const = 0;
  // Limits of a pod's cgroup or a container's, as ApplyPodResources of pod_resources.h.
  [[nodiscard]] virtual absl::Status SetResources(
      const std::string& cgroup, const runtime::v1::LinuxContainerResources& resources) const = 0;
  // Limits of a running container, which the OCI runtime writes: systemd has to know them, or it
  // undoes them. Not all runtimes tell it. `pids_limit`: 0 for none, nothing to leave it as it is.
  // A container that has ended is success.
  [[nodiscard]] virtual absl::Status NoteResources(
      const std::string& container_cgroup, const runtime::v1::LinuxContainerResources& resources,
      std::optional<int64_t> pids_limit) const = 0;
};

}  // namespace davit::server
