// SPDX-License-Identifier: Apache-2.0
//
// What stands below our directories (or in our name in the CNI cache) and has no record: left by a
// power cut that took the last transactions, or by a damaged row. A backstop: every operation has
// its row before it makes anything, and deletes it after it has removed everything.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "server/node.h"

namespace davit::server {

// Called while the stores hold all records and nothing new is being made. Each function removes one
// leftover, logs what it cannot do, and may run at any later time.
std::vector<std::function<void()>> FindLeftovers(Node& node);

// Detaches the network of a sandbox of which no more is known than its ID.
absl::Status DetachLeftover(Node& node, Context& ctx, const std::string& id);

}  // namespace davit::server
