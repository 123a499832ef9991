// SPDX-License-Identifier: Apache-2.0
//
// Ranges of addresses as host-local has them, and the order in which it tries their addresses.
// Plain values; no disk.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "network/builtin/ip.h"

namespace davit::network::builtin {

struct Range {
  Prefix subnet;
  Ip first;  // that is given out
  Ip last;
  Ip gateway;  // never given out

  [[nodiscard]] bool Has(const Ip& ip) const { return first <= ip && ip <= last; }
};

// A pod gets one address of each set.
using RangeSet = std::vector<Range>;

// What the configuration leaves out is empty: then a range goes from the first address behind the
// network's own to the last (in IPv4: before the broadcast address), and the gateway is the first.
// Nothing for what host-local refuses, or where the gateway is outside of the subnet.
std::optional<Range> MakeRange(const std::string& subnet, const std::string& first,
                               const std::string& last, const std::string& gateway);

// Nothing in them is twice, and each is of one family.
[[nodiscard]] bool AreDisjoint(const std::vector<RangeSet>& sets);

// "10.1.0.1-10.1.0.254,10.2.0.1-10.2.0.254"
std::string ToText(const RangeSet& set);

// All addresses of a set but its gateways, each once: begins behind the one that was given out
// last, goes on with the next range, and comes to that one at the end.
class Candidates {
 public:
  // `last` counts if one of the ranges has it.
  Candidates(const RangeSet& set, const std::optional<Ip>& last);

  // Nothing when all were there. `*range` is the one that has the address.
  std::optional<Ip> Next(const Range** range);

 private:
  void Advance();

  const RangeSet& set_;
  size_t index_ = 0;
  std::optional<Ip> current_;
  std::optional<Ip> begin_;
};

}  // namespace davit::network::builtin
