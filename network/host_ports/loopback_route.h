// SPDX-License-Identifier: Apache-2.0
//
// Lets connections of the node to 127.0.0.1 go out to a pod.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace davit::network {

// Sets route_localnet of the interface that leads to the IPv4 address, in the network namespace of
// the calling thread. The kernel has no such thing for IPv6.
absl::Status RouteLoopbackTo(const std::string& pod_ip);

}  // namespace davit::network
