// SPDX-License-Identifier: Apache-2.0
//
// The one way a record changes: on disk first, then the snapshot in memory. Only for the holder of
// the object's op_mutex (or its only owner, before it is in the store).
#pragma once

#include <functional>

#include "absl/status/status.h"

#include "server/container/container.h"
#include "server/node.h"
#include "server/sandbox/sandbox.h"

namespace davit::server {

// Calls `change` on a copy of the record, saves it, swaps it in. On failure nothing has changed.
absl::Status Update(Node& node, Sandbox& sandbox,
                    const std::function<void(Sandbox::Record&)>& change);
absl::Status Update(Node& node, Container& container,
                    const std::function<void(Container::Record&)>& change);

}  // namespace davit::server
