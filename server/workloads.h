// SPDX-License-Identifier: Apache-2.0
//
// Kinds of pods whose CPUs the node decides on (runtime.workloads), so that those of the platform
// can be kept on CPUs of their own: docs/resources.md. A pod belongs to a workload by an
// annotation; what the workload says of a container's CPUs stands in place of what requests say, at
// its creation and in every later update.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "config/config.h"
#include "server/api/api.pb.h"

namespace davit::server {

// Null: the pod belongs to none. InvalidArgument for one that belongs to two.
absl::StatusOr<const config::Workload*> WorkloadOf(const config::Runtime& config,
                                                   const runtime::v1::PodSandboxConfig& sandbox);

// Writes what the pod's workload says over the resources of a container. InvalidArgument names the
// pod's annotation for it (PREFIX/CONTAINER) and what is wrong there.
absl::Status ApplyWorkload(const config::Runtime& config,
                           const runtime::v1::PodSandboxConfig& sandbox,
                           const std::string& container,
                           runtime::v1::LinuxContainerResources& resources);

// Keeps a process of Davit's own that serves such a pod on the workload's cpuset. A process that
// has ended is success.
absl::Status ConfineToWorkload(const config::Runtime& config,
                               const runtime::v1::PodSandboxConfig& sandbox, pid_t pid);

// The annotations that a pod may use: those of its handler and of its workload.
[[nodiscard]] std::vector<std::string> AllowedAnnotations(
    const config::Runtime& config, const std::string& handler,
    const runtime::v1::PodSandboxConfig& sandbox);

}  // namespace davit::server
