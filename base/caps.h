// SPDX-License-Identifier: Apache-2.0
//
// Linux capabilities by name ("CAP_NET_ADMIN").
#pragma once

#include <set>
#include <string>

#include "absl/status/statusor.h"

namespace davit {

// What the daemon may hand on: its own bounding and permitted set. "Privileged" and "ALL" mean
// this.
absl::StatusOr<std::set<std::string>> OwnCapabilities();
// "net_admin", "NET_ADMIN", "CAP_NET_ADMIN" -> "CAP_NET_ADMIN"; InvalidArgument for an unknown
// name.
absl::StatusOr<std::string> NormalizeCapability(const std::string& name);

}  // namespace davit
