// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "server/node.h"

namespace davit::server {

// The container if it runs; FailedPrecondition names its state, and what cannot be done with it.
absl::StatusOr<std::shared_ptr<Container>> FindRunning(const Node& node, const std::string& id,
                                                       const char* what);

}  // namespace davit::server
