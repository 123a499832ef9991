// SPDX-License-Identifier: Apache-2.0
#include "network/builtin/ip.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/text.h"

namespace davit::network::builtin {
namespace {

constexpr size_t kAmbiguousBytes = 10;

// The bits of byte `index` that belong to the prefix.
uint8_t MaskAt(int length, size_t index) {
  const int bits = std::clamp(length - static_cast<int>(index) * 8, 0, 8);
  return static_cast<uint8_t>(0xff00U >> static_cast<unsigned>(bits));
}

}  // namespace

size_t Ip::size() const {
  return family == AF_INET ? 4 : 16;
}

std::optional<Ip> ParseIp(std::string_view text) {
  Ip ip;
  ip.family = text.find(':') == std::string_view::npos ? AF_INET : AF_INET6;
  if (inet_pton(ip.family, std::string(text).c_str(), ip.bytes.data()) != 1 || ToText(ip) != text) {
    return std::nullopt;
  }
  const auto* const end = ip.bytes.cbegin() + kAmbiguousBytes;
  if (ip.family == AF_INET6 && std::all_of(ip.bytes.cbegin(), end, [](auto b) { return b == 0; })) {
    return std::nullopt;
  }
  return ip;
}

std::optional<Prefix> ParsePrefix(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return std::nullopt;
  }
  const std::optional<Ip> ip = ParseIp(text.substr(0, slash));
  const std::optional<uint64_t> length = ParseUint(text.substr(slash + 1));
  if (!ip || !length || *length > static_cast<uint64_t>(ip->bits())) {
    return std::nullopt;
  }
  return Prefix{*ip, static_cast<int>(*length)};
}

std::string ToText(const Ip& ip) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  return inet_ntop(ip.family, ip.bytes.data(), text.data(), text.size()) == nullptr ? ""
                                                                                    : text.data();
}

std::string ToText(const Prefix& prefix) {
  return ToText(prefix.ip) + "/" + std::to_string(prefix.length);
}

Ip Next(Ip ip) {
  for (size_t i = ip.size(); i-- > 0;) {
    if (++ip.bytes[i] != 0) {
      break;
    }
  }
  return ip;
}

Ip FirstOf(const Prefix& prefix) {
  Ip ip = prefix.ip;
  for (size_t i = 0; i < ip.size(); ++i) {
    ip.bytes[i] &= MaskAt(prefix.length, i);
  }
  return ip;
}

Ip LastOf(const Prefix& prefix) {
  Ip ip = prefix.ip;
  for (size_t i = 0; i < ip.size(); ++i) {
    ip.bytes[i] |= static_cast<uint8_t>(~MaskAt(prefix.length, i));
  }
  return ip;
}

bool Contains(const Prefix& prefix, const Ip& ip) {
  return prefix.ip.family == ip.family && FirstOf({ip, prefix.length}) == FirstOf(prefix);
}

}  // namespace davit::network::builtin
