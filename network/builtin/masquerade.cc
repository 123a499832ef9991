// SPDX-License-Identifier: Apache-2.0
#include "network/builtin/masquerade.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <iterator>

#include <openssl/evp.h>

#include "base/status.h"
#include "base/text.h"

namespace davit::network::builtin {
namespace {

constexpr size_t kChainDigits = 24;
constexpr std::array kFamilies = {AF_INET, AF_INET6};

std::vector<Prefix> OfFamily(const std::vector<Prefix>& addresses, int family) {
  std::vector<Prefix> result;
  std::copy_if(addresses.begin(), addresses.end(), std::back_inserter(result),
               [&](const Prefix& each) { return each.ip.family == family; });
  return result;
}

// The names have no character that would need more than the quotes.
std::string Comment(std::string_view network, std::string_view container) {
  return fmt::format(R"(-m comment --comment "name: \"{}\" id: \"{}\"")", network, container);
}

std::string Jump(const Prefix& address, const std::string& comment, const std::string& chain) {
  return fmt::format("POSTROUTING -s {}/{} {} -j {}\n", ToText(address.ip), address.ip.bits(),
                     comment, chain);
}

// A chain begins anew: nobody else has this name.
std::string Begin(const std::string& chain) {
  return fmt::format(":{} - [0:0]\n", chain);
}

std::string AddLines(const std::vector<Prefix>& addresses, const std::string& comment,
                     const std::string& chain) {
  std::string lines = Begin(chain);
  for (const Prefix& address : addresses) {
    const Prefix subnet{FirstOf(address), address.length};
    const char* const multicast = address.ip.family == AF_INET ? "224.0.0.0/4" : "ff00::/8";
    for (const std::string& rule :
         {fmt::format("-A {} -d {} {} -j ACCEPT\n", chain, ToText(subnet), comment),
          fmt::format("-A {} ! -d {} {} -j MASQUERADE\n", chain, multicast, comment),
          "-A " + Jump(address, comment, chain)}) {
      // Two addresses of one family have some of them in common.
      if (lines.find(rule) == std::string::npos) {
        lines += rule;
      }
    }
  }
  return lines;
}

std::string RemoveLines(const std::vector<Prefix>& addresses, const std::string& comment,
                        const std::string& chain) {
  std::string lines = Begin(chain);
  for (const Prefix& address : addresses) {
    lines += "-D " + Jump(address, comment, chain);
  }
  return lines + "-X " + chain + "\n";
}

// What takes back all that a listing has of the chain; "" if there is nothing.
std::string SweepLines(const std::string& listing, const std::string& chain) {
  std::string jumps;
  bool exists = false;
  for (const std::string& line : Split(listing, '\n')) {
    exists = exists || line.starts_with(":" + chain + " ");
    if (line.starts_with("-A ") && line.ends_with(" -j " + chain)) {
      jumps += "-D " + line.substr(3) + "\n";
    }
  }
  return exists ? Begin(chain) + jumps + "-X " + chain + "\n" : "";
}

}  // namespace

std::string MasqueradeChain(std::string_view network, std::string_view container) {
  const std::string text = std::string(network) + std::string(container);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha512(), nullptr);
  std::string result = "CNI-";
  for (size_t i = 0; i < kChainDigits / 2; ++i) {
    result += fmt::format("{:02x}", digest[i]);
  }
  return result;
}

Masquerade::Masquerade() : ipv4_("iptables", "nat"), ipv6_("ip6tables", "nat") {}

bool Masquerade::IsPossible(bool ipv4, bool ipv6) const {
  return (!ipv4 || ipv4_.IsInstalled()) && (!ipv6 || ipv6_.IsInstalled());
}

RestoreBatch& Masquerade::Of(int family) {
  return family == AF_INET ? ipv4_ : ipv6_;
}

absl::Status Masquerade::Add(Context& ctx, std::string_view network, std::string_view container,
                             const std::vector<Prefix>& addresses) {
  const std::string chain = MasqueradeChain(network, container);
  for (const int family : kFamilies) {
    if (const std::vector<Prefix> own = OfFamily(addresses, family); !own.empty()) {
      RETURN_IF_ERROR(Of(family).Apply(ctx, AddLines(own, Comment(network, container), chain)));
    }
  }
  return absl::OkStatus();
}

absl::Status Masquerade::Remove(Context& ctx, std::string_view network, std::string_view container,
                                const std::vector<Prefix>& addresses) {
  const std::string chain = MasqueradeChain(network, container);
  absl::Status first;
  for (const int family : kFamilies) {
    const std::vector<Prefix> own = OfFamily(addresses, family);
    if (own.empty()) {
      continue;
    }
    // One rule that is not there (removed before, or by hand) fails the whole: then what is there.
    if (!Of(family).Apply(ctx, RemoveLines(own, Comment(network, container), chain)).ok()) {
      first.Update(Sweep(ctx, family, network, container));
    }
  }
  return first;
}

absl::Status Masquerade::Sweep(Context& ctx, int family, std::string_view network,
                               std::string_view container) {
  ASSIGN_OR_RETURN(const std::string listing, Of(family).Save(ctx));
  const std::string lines = SweepLines(listing, MasqueradeChain(network, container));
  return lines.empty() ? absl::OkStatus() : Of(family).Apply(ctx, lines);
}

}  // namespace davit::network::builtin
