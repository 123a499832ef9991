// SPDX-License-Identifier: Apache-2.0
//
// The pod's end of its connection to the bridge: addresses, routes, and what the kernel is told to
// do there. Works in the network namespace of the calling thread, which is the pod's.
#pragma once

#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "network/builtin/bridge_plan.h"
#include "network/builtin/host_local.h"
#include "network/builtin/link.h"

namespace davit::network::builtin {

// Writes `value` to a file below /proc/sys/net if it has another one. A missing file is success:
// the kernel was started without IPv6.
absl::Status SetNetSysctl(const std::string& name, const std::string& value);

// Gives the interface its addresses, sets it up, adds the routes. It tells its neighbours of its
// address when it comes up (arp_notify), and does not ask whether somebody has its IPv6 address
// (accept_dad 0): nobody has, as they are given out one by one.
absl::StatusOr<Link> ConfigurePodSide(Context& ctx, const std::vector<Lease>& leases,
                                      const std::vector<Route>& routes);

}  // namespace davit::network::builtin
