// SPDX-License-Identifier: Apache-2.0
//
// What the configuration of a plugin "bridge" with addresses by "host-local" asks for, if it asks
// for nothing but what is done here. Plain values; no disk.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "network/builtin/range.h"

namespace davit::network::builtin {

struct Route {
  Prefix to;
  std::optional<Ip> via;  // else the gateway of the first address of the family
};

struct BridgePlan {
  std::string network;
  std::string cni_version;
  std::string bridge;
  bool is_gateway = false;  // the bridge gets the gateways' addresses, and the node forwards
  bool is_default_gateway = false;
  bool force_address = false;  // a bridge's other address is taken away
  bool ip_masq = false;
  bool hairpin = false;
  int mtu = 0;           // 0: the kernel's
  std::string data_dir;  // "": host-local's
  std::vector<RangeSet> ranges;
  std::vector<Route> routes;

  [[nodiscard]] bool HasFamily(int family) const;
};

// `text` is the plugin's configuration with the network's name and version. Unimplemented says
// which key or value is left to the plugin, so that nothing is half honoured.
absl::StatusOr<BridgePlan> ParseBridgePlan(std::string_view text);

}  // namespace davit::network::builtin
