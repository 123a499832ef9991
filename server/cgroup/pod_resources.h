// SPDX-License-Identifier: Apache-2.0
//
// Limits of a whole pod, written to the pod's own cgroup: the kernel holds its containers to them
// together.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

#include "base/cgroup.h"
#include "server/api/api.pb.h"

namespace davit::server {

// What the pod may use in all: its containers' resources and the pod's overhead, added. Values that
// are not set, or without a limit, stay so.
runtime::v1::LinuxContainerResources AddOverhead(
    const runtime::v1::LinuxContainerResources& resources,
    const runtime::v1::LinuxContainerResources& overhead);

// cpu.shares of v1, 2..262144, onto cpu.weight of v2, 1..10000, as OCI runtimes do for containers.
uint64_t CpuWeightOf(int64_t shares);

// InvalidArgument for a value that cannot be one; FailedPrecondition for a memory limit below what
// the pod uses now.
absl::Status CheckPodResources(const CgroupFs& fs, const std::string& cgroup,
                               const runtime::v1::LinuxContainerResources& resources);

// What is not set stays as it is. InvalidArgument for a value that cannot be one;
// FailedPrecondition for a memory limit below what the pod uses now, or a controller that is not
// there. Nothing is undone where a later value is refused.
absl::Status ApplyPodResources(const CgroupFs& fs, const std::string& cgroup,
                               const runtime::v1::LinuxContainerResources& resources);

}  // namespace davit::server
