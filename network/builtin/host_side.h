// SPDX-License-Identifier: Apache-2.0
//
// The node's end: the bridge, its addresses, and the port of a pod. Works in the network namespace
// of the calling thread, which is the node's. Calls for different pods run side by side.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "network/builtin/bridge_plan.h"
#include "network/builtin/host_local.h"
#include "network/builtin/link.h"

namespace davit::network::builtin {

// Makes the bridge if it is missing, and sets it up. One that is there stays as it is.
absl::StatusOr<Link> EnsureBridge(const BridgePlan& plan);

// A new port of the bridge, up, whose other end is the pod's interface (down).
absl::StatusOr<Link> CreatePort(const BridgePlan& plan, const Link& bridge,
                                const std::string& netns);

// Until frames pass; both ends are up.
absl::Status WaitForPort(Context& ctx, const Link& port);

// The bridge gets the gateways' addresses, and the node forwards packets of these families.
// FailedPrecondition if it has another address and may not be told otherwise.
absl::Status EnsureGateways(const BridgePlan& plan, const Link& bridge,
                            const std::vector<Lease>& leases);

}  // namespace davit::network::builtin
