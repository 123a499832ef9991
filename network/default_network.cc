// SPDX-License-Identifier: Apache-2.0
#include "network/default_network.h"

#include <net/if.h>

#include <string>

#include "base/json.h"
#include "base/status.h"
#include "network/result.h"

namespace davit::network {
namespace {

using nlohmann::json;

json Ipam(const config::Network& config) {
  const bool v6 = config.default_bridge_subnet.find(':') != std::string::npos;
  json ipam = {
      {"type", "host-local"},
      {"ranges", json::array({json::array({json{{"subnet", config.default_bridge_subnet}}})})},
      {"routes", json::array({json{{"dst", v6 ? "::/0" : "0.0.0.0/0"}}})},
  };
  if (!config.default_bridge_ipam_dir.empty()) {
    ipam["dataDir"] = config.default_bridge_ipam_dir;
  }
  return ipam;
}

}  // namespace

absl::StatusOr<NetworkConfig> DefaultBridgeNetwork(const config::Network& config) {
  if (config.default_bridge_name.size() >= IFNAMSIZ || !IsValidName(config.default_bridge_name)) {
    return InvalidArgument("network.default_bridge_name: \"{}\" cannot name a link",
                           config.default_bridge_name);
  }
  if (!IsIpWithPrefix(config.default_bridge_subnet)) {
    return InvalidArgument("network.default_bridge_subnet: \"{}\" is not address/prefix",
                           config.default_bridge_subnet);
  }
  const json bridge = {
      {"type", "bridge"},    {"bridge", config.default_bridge_name},
      {"isGateway", true},   {"ipMasq", true},
      {"hairpinMode", true}, {"ipam", Ipam(config)},
  };
  const json portmap = {{"type", "portmap"}, {"capabilities", {{"portMappings", true}}}};
  const json list = {
      {"cniVersion", "1.0.0"},
      {"name", config.default_bridge_name},
      {"plugins", json::array({bridge, portmap})},
  };
  return ParseNetworkConfig(DumpJson(list), "embedded default bridge");
}

}  // namespace davit::network
