// SPDX-License-Identifier: Apache-2.0
//
// Host ports as text for nft(8): one table of Davit's own, `inet davit_hostports`, that is replaced
// as a whole in one transaction, so that the kernel has either the old ports or the new ones.
// Ports and addresses are elements of maps: a packet costs four look-ups however many there are.
// Needs what kernel 5.6 and nft 0.9.4 brought (NAT to an address and port of a map). Pure
// functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "network/host_ports/port_table.h"

namespace davit::network {

inline constexpr char kHostPortTable[] = "davit_hostports";

// Replaces the table; without ports, removes it.
[[nodiscard]] std::string ReplaceTable(const std::vector<HostPort>& ports);

// How much there is in the table: enough to see that somebody emptied it.
struct TableSize {
  size_t rules = 0;
  size_t elements = 0;
  bool operator==(const TableSize&) const = default;
};

// What ReplaceTable makes.
[[nodiscard]] TableSize ExpectedSize(const std::vector<HostPort>& ports);
// Of `nft -j list table`.
absl::StatusOr<TableSize> SizeOf(std::string_view listing);

}  // namespace davit::network
