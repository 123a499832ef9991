// SPDX-License-Identifier: Apache-2.0
//
// Addresses of interfaces and routes over rtnetlink, in the network namespace of the calling
// thread. Every error names the address or route. Holds no state.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "network/builtin/bridge_plan.h"
#include "network/builtin/ip.h"
#include "network/builtin/link.h"

namespace davit::network::builtin {

// AlreadyExists if the interface has it.
absl::Status AddAddress(const Link& link, const Prefix& address);
absl::Status DeleteAddress(const Link& link, const Prefix& address);
// Of one family.
absl::StatusOr<std::vector<Prefix>> AddressesOf(const Link& link, int family);
// By the kernel's answer about this one: costs the same however many interfaces there are. IPv6.
[[nodiscard]] bool HasAddress6(const Link& link, const Prefix& address);
// Waits until the kernel has made sure that nobody else has one of the interface's IPv6 addresses.
// AlreadyExists if somebody has.
absl::Status WaitForAddresses6(Context& ctx, const Link& link);

absl::Status AddRoute(const Link& link, const Prefix& to, const std::optional<Ip>& via);

}  // namespace davit::network::builtin
