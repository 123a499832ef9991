// SPDX-License-Identifier: Apache-2.0
//
// A pod's network: attached once, given back from the cached result whatever has become of the
// namespace. The record says that ADD may have happened before the first plugin runs. Host ports
// belong to it: those that no plugin publishes Davit publishes itself.
#pragma once

#include <vector>

#include "absl/status/status.h"

#include "base/context.h"
#include "network/cni.h"
#include "network/host_ports/port_table.h"
#include "server/node.h"

namespace davit::server {

network::PodNetwork ToPodNetwork(const Node& node, const Sandbox::Record& record);

// Pods that are up and whose host ports are Davit's own.
std::vector<network::PublishedPod> PodsWithOwnHostPorts(const Node& node);

// Holder of op_mutex.
absl::Status AttachNetwork(Node& node, Context& ctx, Sandbox& sandbox);
// Nothing attached is success. Holder of op_mutex.
absl::Status DetachNetwork(Node& node, Context& ctx, Sandbox& sandbox);

}  // namespace davit::server
