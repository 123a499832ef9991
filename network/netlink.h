// SPDX-License-Identifier: Apache-2.0
//
// One question to the kernel over netlink, by libmnl: on a socket of its own, in the network
// namespace of the calling thread. Holds no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"

struct nlmsghdr;

namespace davit::network {

struct NetlinkRequest {
  int bus = 0;  // NETLINK_ROUTE, NETLINK_NETFILTER
  uint16_t type = 0;
  uint16_t flags = 0;  // besides NLM_F_REQUEST
  // Adds what follows the header.
  std::function<void(nlmsghdr*)> build = {};
};

// Calls `on_reply` for each message of the answer. The kernel's error is the status (NotFound for
// ENOENT); Unimplemented if it does not know the bus.
absl::Status AskNetlink(const NetlinkRequest& request,
                        const std::function<void(const nlmsghdr*)>& on_reply);

// A change by NETLINK_ROUTE, which is only acknowledged.
absl::Status ChangeByRoute(uint16_t type, uint16_t flags,
                           const std::function<void(nlmsghdr*)>& build);

// A number in the message, by the type of its attribute, behind a header of `offset` bytes; 0 if it
// is not there. In the byte order that the kernel has it in.
[[nodiscard]] uint32_t NumberIn(const nlmsghdr* message, size_t offset, uint16_t type);

}  // namespace davit::network
