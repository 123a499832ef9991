// SPDX-License-Identifier: Apache-2.0
#include "network/builtin/bridge_plan.h"

#include <sys/socket.h>

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/status.h"
#include "network/builtin/masquerade.h"

namespace davit::network::builtin {
namespace {

using nlohmann::json;

json Config() {
  return {{"name", "net"},
          {"cniVersion", "1.0.0"},
          {"type", "bridge"},
          {"ipam", {{"type", "host-local"}, {"subnet", "10.1.0.0/16"}}}};
}

// What is left to the plugin if `patch` is merged in; "" if nothing is.
std::string Refusal(const json& patch) {
  json config = Config();
  config.merge_patch(patch);
  return Message(ParseBridgePlan(DumpJson(config)).status());
}

TEST(BridgePlan, Reads) {
  json config = Config();
  config["ipam"] = {{"type", "host-local"},
                    {"dataDir", "/run/ipam"},
                    {"ranges", json::array({json::array({json{{"subnet", "fd00:1::/64"}}})})},
                    {"subnet", "10.1.0.0/16"},
                    {"routes", json::array({json{{"dst", "0.0.0.0/0"}},
                                            json{{"dst", "10.9.0.0/16"}, {"gw", "10.1.0.9"}}})}};
  config["isGateway"] = true;
  config["ipMasq"] = true;
  config["mtu"] = 1400;
  const auto plan = ParseBridgePlan(DumpJson(config));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->bridge, "cni0");
  EXPECT_TRUE(plan->is_gateway && plan->ip_masq && !plan->is_default_gateway && !plan->hairpin);
  EXPECT_EQ(plan->mtu, 1400);
  EXPECT_EQ(plan->data_dir, "/run/ipam");
  ASSERT_EQ(plan->ranges.size(), 2U);
  EXPECT_EQ(ToText(plan->ranges[0]), "10.1.0.1-10.1.255.254") << "the older form is first";
  EXPECT_EQ(ToText(plan->ranges[1]), "fd00:1::1-fd00:1::ffff:ffff:ffff:ffff");
  ASSERT_EQ(plan->routes.size(), 2U);
  EXPECT_FALSE(plan->routes[0].via.has_value());
  EXPECT_EQ(ToText(plan->routes[1].via.value()), "10.1.0.9");
  EXPECT_TRUE(plan->HasFamily(AF_INET6));
}

TEST(BridgePlan, LeavesToThePluginWhatItDoesNotKnow) {
  EXPECT_EQ(Refusal(json::object()), "");
  EXPECT_EQ(Refusal({{"vlan", 0}, {"promiscMode", false}, {"enabledad", false}}), "");
  EXPECT_EQ(Refusal({{"vlan", 5}}), "the value of \"vlan\"");
  EXPECT_EQ(Refusal({{"vlanTrunk", json::array()}}), "the key \"vlanTrunk\"");
  EXPECT_EQ(Refusal({{"macspoofchk", true}}), "the value of \"macspoofchk\"");
  EXPECT_EQ(Refusal({{"promiscMode", true}}), "the value of \"promiscMode\"");
  EXPECT_EQ(Refusal({{"enabledad", true}}), "the value of \"enabledad\"");
  EXPECT_EQ(Refusal({{"ipMasqBackend", "iptables"}}), "the key \"ipMasqBackend\"");
  EXPECT_EQ(Refusal({{"isgateway", true}}), "the key \"isgateway\"") << "the plugin reads it";
  EXPECT_EQ(Refusal({{"isGateway", "yes"}}), "the value of \"isGateway\"");
  EXPECT_EQ(Refusal({{"mtu", -1}}), "the value of \"mtu\"");
  EXPECT_EQ(Refusal({{"dns", json::object()}}), "the key \"dns\"");
  EXPECT_EQ(Refusal({{"args", json::object()}}), "the key \"args\"");
  EXPECT_EQ(Refusal({{"cniVersion", "1.1.0"}}), "the value of \"cniVersion\"");
  EXPECT_EQ(Refusal({{"bridge", "a-name-that-is-too-long"}}), "the value of \"bridge\"");
}

TEST(BridgePlan, LeavesOtherAddressesToThePlugin) {
  EXPECT_EQ(Refusal({{"ipam", nullptr}}), "a network without addresses");
  EXPECT_EQ(Refusal({{"ipam", {{"type", "dhcp"}}}}), "\"ipam.type\", which is not host-local");
  EXPECT_EQ(Refusal({{"ipam", {{"resolvConf", "/etc/resolv.conf"}}}}),
            "the key \"ipam.resolvConf\"");
  EXPECT_EQ(Refusal({{"ipam", {{"subnet", "10.1.0.1/16"}}}}),
            "the range of the subnet \"10.1.0.1/16\"");
  EXPECT_EQ(Refusal({{"ipam", {{"subnet", nullptr}}}}),
            "\"ipam.ranges\", which are none or not apart");
  EXPECT_EQ(Refusal({{"ipam", {{"subnet", nullptr}, {"rangeStart", "10.1.0.9"}}}}),
            "\"ipam.ranges\", which are none or not apart");
  EXPECT_EQ(Refusal({{"ipam", {{"routes", json::array({json{{"dst", "::/0"}}})}}}}),
            "the route to \"::/0\", for which there is no address");
  EXPECT_EQ(Refusal({{"ipam", {{"routes", json::array({json{{"dst", "10.0.0.1/8"}}})}}}}),
            "the route to \"10.0.0.1/8\"");
  EXPECT_EQ(
      Refusal({{"ipam", {{"routes", json::array({json{{"dst", "10.0.0.0/8"}, {"mtu", 1400}}})}}}}),
      "the key \"ipam.routes.mtu\"");
  EXPECT_EQ(Refusal({{"isDefaultGateway", true},
                     {"ipam", {{"routes", json::array({json{{"dst", "0.0.0.0/0"}}})}}}}),
            "\"isDefaultGateway\" beside a default route");
}

TEST(MasqueradeChain, IsThePlugins) {
  EXPECT_EQ(MasqueradeChain("tn", "abc123"), "CNI-dc8a91959f97a7422fc87544");
}

}  // namespace
}  // namespace davit::network::builtin
