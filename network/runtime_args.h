// SPDX-License-Identifier: Apache-2.0
//
// What the pod adds to a plugin call: capability arguments (ports, bandwidth, DNS, addresses, MAC,
// aliases, cgroup, annotations) by the conventions of CNI, and CNI_ARGS as Kubernetes' plugins
// expect them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "network/cni.h"

namespace davit::network {

using CniArgs = std::vector<std::pair<std::string, std::string>>;

inline constexpr char kPortMappings[] = "portMappings";

// InvalidArgument names what is wrong with a mapping that has a host port.
absl::Status CheckPort(const PortMapping& port);

// Capability name to its argument as JSON text; only what the pod has something for.
// InvalidArgument names the port, annotation or address that is wrong.
absl::StatusOr<std::map<std::string, std::string>> CapabilityArgs(const PodNetwork& pod);

// InvalidArgument if a name of the pod would break out of the list.
absl::StatusOr<CniArgs> PodArgs(const PodNetwork& pod);
// "KEY=value;KEY=value"
std::string JoinArgs(const CniArgs& args);

// A Kubernetes resource quantity ("10M", "1.5Gi", "3e6") as a whole number, rounded up.
absl::StatusOr<int64_t> ParseQuantity(std::string_view text);

}  // namespace davit::network
