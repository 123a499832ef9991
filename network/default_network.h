// SPDX-License-Identifier: Apache-2.0
//
// The network of a machine on which nobody configured one: a bridge with addresses from host-local
// and host ports from portmap. Lives in memory only; nothing is written to the configuration
// directory.
#pragma once

#include "absl/status/statusor.h"

#include "config/config.h"
#include "network/cni_config.h"

namespace davit::network {

// Named like its bridge. InvalidArgument if the bridge's name or subnet cannot be one.
absl::StatusOr<NetworkConfig> DefaultBridgeNetwork(const config::Network& config);

}  // namespace davit::network
