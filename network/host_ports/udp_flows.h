// SPDX-License-Identifier: Apache-2.0
//
// What the kernel remembers of UDP conversations (connection tracking). A datagram of a
// conversation that it knows never comes to the NAT rules: a client that asks again and again from
// one port would never see a pod that came later, and would go on talking to one that is gone.
#pragma once

#include <vector>

#include "absl/status/status.h"

#include "network/host_ports/port_table.h"

namespace davit::network {

// Both: in the network namespace of the calling thread; ports of other protocols are passed over.

// Forgets conversations with an address of the node at these ports that no pod got.
absl::Status ForgetUnpublished(const std::vector<HostPort>& ports);
// Forgets conversations that went to the pods of these ports.
absl::Status ForgetPublished(const std::vector<HostPort>& ports);

}  // namespace davit::network
