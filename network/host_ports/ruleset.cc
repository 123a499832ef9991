// SPDX-License-Identifier: Apache-2.0
#include "network/host_ports/ruleset.h"

#include <sys/socket.h>

#include <array>
#include <map>
#include <set>

#include "base/json.h"
#include "base/status.h"

namespace davit::network {
namespace {

using nlohmann::json;

constexpr size_t kMaxListing = 64U << 20U;
constexpr std::array<const char*, 3> kProtocols = {"tcp", "udp", "sctp"};

// A map or set, by name: what it is a map of, and its elements.
struct Elements {
  const char* definition;
  std::set<std::string> texts{};
};
using Sets = std::map<std::string, Elements>;

// Who reaches a pod through the node although both could talk without it must come back through it:
// neighbours of the pod (and the pod itself), and the node under its loopback address, which means
// nothing elsewhere. They get an address of the node as source.
void AddMasquerade(const HostPort& port, Sets& sets) {
  Elements& elements = sets.at(port.family == AF_INET ? "masquerade4" : "masquerade6");
  const auto add = [&](const std::string& source) {
    elements.texts.insert(
        fmt::format("{} . {} . {} . {}", port.protocol, port.port, source, port.pod_ip));
  };
  add(port.pod_subnet);
  if (port.family == AF_INET) {
    add("127.0.0.0/8");
  }
}

Sets SetsOf(const std::vector<HostPort>& ports) {
  Sets sets = {
      {"ports4", {"type inet_proto . inet_service : ipv4_addr . inet_service;"}},
      {"ports6", {"type inet_proto . inet_service : ipv6_addr . inet_service;"}},
      {"addressed4", {"type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service;"}},
      {"addressed6", {"type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service;"}},
      {"masquerade4", {"type inet_proto . inet_service . ipv4_addr . ipv4_addr; flags interval;"}},
      {"masquerade6", {"type inet_proto . inet_service . ipv6_addr . ipv6_addr; flags interval;"}},
  };
  for (const HostPort& port : ports) {
    const char* family = port.family == AF_INET ? "4" : "6";
    const std::string target = fmt::format("{} . {}", port.pod_ip, port.pod_port);
    const std::string key = fmt::format("{} . {}", port.protocol, port.port);
    if (port.host_ip.empty()) {
      sets.at(std::string("ports") + family).texts.insert(key + " : " + target);
    } else {
      sets.at(std::string("addressed") + family)
          .texts.insert(port.host_ip + " . " + key + " : " + target);
    }
    AddMasquerade(port, sets);
  }
  return sets;
}

std::vector<std::string> PublishRules() {
  return {
      "dnat ip to ip daddr . meta l4proto . th dport map @addressed4",
      "meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @ports4",
      "dnat ip6 to ip6 daddr . meta l4proto . th dport map @addressed6",
      "meta nfproto ipv6 fib daddr type local dnat ip6 to meta l4proto . th dport map @ports6",
  };
}

// The port that was asked for is known to nft as one only where the protocol is.
std::vector<std::string> MasqueradeRules() {
  std::vector<std::string> rules;
  for (const char* protocol : kProtocols) {
    for (const char* family : {"4", "6"}) {
      const char* ip = family[0] == '4' ? "ip" : "ip6";
      rules.push_back(
          fmt::format("meta l4proto {0} ct status dnat meta l4proto . ct original proto-dst . {1} "
                      "saddr . {1} daddr @masquerade{2} masquerade",
                      protocol, ip, family));
    }
  }
  return rules;
}

struct Chain {
  const char* name;
  const char* hook;  // "" for one that others jump to
  std::vector<std::string> rules;
};

// Priorities in numbers: nft has no name for that of NAT at output. `loopback` comes before all
// NAT: that is why the node's loopback addresses stay out of reach of its neighbours although
// route_localnet is on (CVE-2020-8558); answers to the node still carry another address there.
std::vector<Chain> Chains() {
  return {
      {"loopback",
       "type filter hook prerouting priority -300; policy accept;",
       {"iifname != \"lo\" ip daddr 127.0.0.0/8 drop"}},
      {"publish", "", PublishRules()},
      {"prerouting", "type nat hook prerouting priority -100; policy accept;", {"jump publish"}},
      {"output", "type nat hook output priority -100; policy accept;", {"jump publish"}},
      {"postrouting", "type nat hook postrouting priority 100; policy accept;", MasqueradeRules()},
  };
}

}  // namespace

std::string ReplaceTable(const std::vector<HostPort>& ports) {
  // Adding what is there is no error, deleting what is not would be one.
  std::string script = fmt::format("table inet {0}\ndelete table inet {0}\n", kHostPortTable);
  if (ports.empty()) {
    return script;
  }
  script += fmt::format("table inet {} {{\n", kHostPortTable);
  for (const auto& [name, elements] : SetsOf(ports)) {
    script += fmt::format("  {} {} {{ {}", name.starts_with("masquerade") ? "set" : "map", name,
                          elements.definition);
    if (!elements.texts.empty()) {
      script += fmt::format(" elements = {{ {} }};", fmt::join(elements.texts, ", "));
    }
    script += " }\n";
  }
  for (const Chain& chain : Chains()) {
    script += fmt::format("  chain {} {{ {}\n", chain.name, chain.hook);
    for (const std::string& rule : chain.rules) {
      script += "    " + rule + "\n";
    }
    script += "  }\n";
  }
  return script + "}\n";
}

TableSize ExpectedSize(const std::vector<HostPort>& ports) {
  TableSize size;
  if (ports.empty()) {
    return size;
  }
  for (const Chain& chain : Chains()) {
    size.rules += chain.rules.size();
  }
  for (const auto& [name, elements] : SetsOf(ports)) {
    size.elements += elements.texts.size();
  }
  return size;
}

absl::StatusOr<TableSize> SizeOf(std::string_view listing) {
  ASSIGN_OR_RETURN(const json root, ParseJson(listing, "nft listing", kMaxListing));
  TableSize size;
  for (const json& object : JsonChild(root, "nftables")) {
    size.rules += object.contains("rule") ? 1 : 0;
    for (const char* kind : {"map", "set"}) {
      if (object.contains(kind)) {
        size.elements += JsonChild(object[kind], "elem").size();
      }
    }
  }
  return size;
}

}  // namespace davit::network
