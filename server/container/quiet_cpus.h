// SPDX-License-Identifier: Apache-2.0
//
// What latency-critical containers do without on CPUs of their own, by annotation of their pod
// where the handler allows it: CPU quota, load balancing, interrupts (docs/resources.md). A
// container has CPUs of its own if it asks for just as many whole CPUs as its cpuset has: that is
// what the kubelet's static CPU manager hands out. For others, such as a sidecar of the same pod,
// the annotations mean nothing.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "base/cpus.h"
#include "server/node.h"

namespace davit::server {

struct QuietCpus {
  bool no_quota = false;
  bool no_load_balancing = false;
  bool no_interrupts = false;
  CpuSet cpus;  // empty if all of them are false
};

// InvalidArgument names an annotation that is neither "disable" nor "enable".
absl::StatusOr<QuietCpus> QuietCpusOf(const config::Runtime& config, const std::string& handler,
                                      const runtime::v1::PodSandboxConfig& sandbox,
                                      const runtime::v1::LinuxContainerResources& resources);

// The resources of a new container, as far as they follow.
absl::Status ApplyQuietCpus(const config::Runtime& config, const std::string& handler,
                            const runtime::v1::PodSandboxConfig& sandbox,
                            runtime::v1::LinuxContainerResources& resources);
// Those of an update: no quota comes back. FailedPrecondition for another cpuset while the
// container runs without load balancing or interrupts on the one it has.
absl::Status KeepQuietCpus(const Node& node, const Container::Record& record,
                           runtime::v1::LinuxContainerResources& resources);

// Takes the CPU quota off a cgroup, a pod's or a container's.
absl::Status LiftQuota(const Node& node, const std::string& cgroup);

// Before the container runs: the pod's quota, interrupts. What fails here is undone by
// ReleaseQuietCpus.
absl::Status QuietBeforeStart(Node& node, const Container::Record& record);
// When it runs and has a cgroup: load balancing.
absl::Status QuietAfterStart(Node& node, const Container::Record& record);
// When a daemon finds it running.
void ReclaimQuietCpus(Node& node, const Container::Record& record);
// After its end. A container that had nothing of it is success.
absl::Status ReleaseQuietCpus(Node& node, const Container::Record& record);

}  // namespace davit::server
