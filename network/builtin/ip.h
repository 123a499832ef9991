// SPDX-License-Identifier: Apache-2.0
//
// IP addresses as numbers: what allocation, routes and rules are computed with. Plain values.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace davit::network::builtin {

struct Ip {
  int family = 0;                      // AF_INET, AF_INET6
  std::array<uint8_t, 16> bytes = {};  // in network order; the first size() count

  [[nodiscard]] size_t size() const;
  [[nodiscard]] int bits() const { return static_cast<int>(size()) * 8; }
  // The lower family is the smaller one.
  auto operator<=>(const Ip&) const = default;
};

// An address and how much of it names its network.
struct Prefix {
  Ip ip;
  int length = 0;

  bool operator==(const Prefix&) const = default;
};

// Nothing for text that is not the usual form of the address: what is made of it (file names,
// results) shall look the same whoever makes it. IPv6 addresses that begin with 80 zero bits have
// several usual forms: nothing, too.
std::optional<Ip> ParseIp(std::string_view text);
std::optional<Prefix> ParsePrefix(std::string_view text);

std::string ToText(const Ip& ip);
std::string ToText(const Prefix& prefix);

// The next higher address; after the last one comes the first.
Ip Next(Ip ip);
// With the bits behind the prefix cleared, or set.
Ip FirstOf(const Prefix& prefix);
Ip LastOf(const Prefix& prefix);
[[nodiscard]] bool Contains(const Prefix& prefix, const Ip& ip);

}  // namespace davit::network::builtin
