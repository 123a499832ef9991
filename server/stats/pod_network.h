// SPDX-License-Identifier: Apache-2.0
//
// Network counters of pods that have a network of their own.
#pragma once

#include <memory>
#include <vector>

#include "base/net_counters.h"
#include "server/api/api.pb.h"
#include "server/node.h"

namespace davit::server {

using SandboxRecordPtr = std::shared_ptr<const Sandbox::Record>;

// One entry for each pod, in order; without interfaces for one on the host's network, or whose
// namespace is gone.
std::vector<NetCounters> PodNetCounters(const Node& node,
                                        const std::vector<SandboxRecordPtr>& sandboxes);

// eth0, which CNI plugins are told to make, else the first, is the default interface. Nothing is
// filled without interfaces.
void FillNetwork(const NetCounters& counters, runtime::v1::LinuxPodSandboxStats& stats);

}  // namespace davit::server
