// SPDX-License-Identifier: Apache-2.0
//
// What a starting daemon makes of the records of the one before it: docs/recovery.md. Runs before
// the first request. Decides everything and fills the stores at once (no OCI runtime and no CNI
// plugin is called); what takes longer, finishing and undoing, goes on in the background under the
// op_mutex of its object, so that requests for it wait and all others do not.
#pragma once

#include "absl/status/status.h"

#include "server/node.h"

namespace davit::server {

// Fails only where the state cannot be read at all; what goes wrong with one object is logged and
// leaves that object for the kubelet to remove.
absl::Status Recover(Node& node);

}  // namespace davit::server
