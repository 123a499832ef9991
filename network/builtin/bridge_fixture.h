// SPDX-License-Identifier: Apache-2.0
//
// For the tests of the built-in bridge: networks with it, and what is left of them.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/namespace.h"
#include "network/test_util.h"

namespace davit::network {

inline constexpr char kShell[] = "/bin/sh";

inline nlohmann::json Ranges(const std::vector<std::vector<const char*>>& sets) {
  nlohmann::json result = nlohmann::json::array();
  for (const auto& set : sets) {
    nlohmann::json ranges = nlohmann::json::array();
    for (const char* subnet : set) {
      ranges.push_back({{"subnet", subnet}});
    }
    result.push_back(ranges);
  }
  return result;
}

inline nlohmann::json Defaults(const std::vector<const char*>& routes) {
  nlohmann::json result = nlohmann::json::array();
  for (const char* route : routes) {
    result.push_back({{"dst", route}});
  }
  return result;
}

class BuiltinBridgeTest : public NetworkTest {
 protected:
  void SetUp() override {
    NetworkTest::SetUp();
    if (!PathExists("/usr/lib/cni/bridge")) {
      GTEST_SKIP() << "needs the package containernetworking-plugins";
    }
  }

  std::unique_ptr<Cni> MakeBuiltin(bool builtin) {
    config_.builtin_plugins =
        builtin ? std::vector<std::string>{"bridge"} : std::vector<std::string>();
    return MakeCni();
  }
  nlohmann::json Ipam(const nlohmann::json& more) const {
    nlohmann::json ipam = {{"type", "host-local"}, {"dataDir", Path("ipam")}};
    ipam.update(more);
    return ipam;
  }
  // A network of both families whose pods go out by the node's addresses.
  nlohmann::json Masqueraded(const nlohmann::json& more_ipam = nlohmann::json::object()) const {
    nlohmann::json ipam = Ipam({{"ranges", Ranges({{"10.210.0.0/24"}, {"fd00:210::/64"}})}});
    ipam.update(more_ipam);
    return {{"isGateway", true}, {"ipMasq", true}, {"ipam", ipam}};
  }
  void ConfigureBridge(const nlohmann::json& more, const char* version = "1.0.0") {
    nlohmann::json plugin = {{"type", "bridge"}, {"bridge", "br-b"}};
    plugin.update(more);
    Configure("10-net.conflist", DumpJson({{"cniVersion", version},
                                           {"name", "net"},
                                           {"plugins", nlohmann::json::array({plugin})}}));
  }
  // The same name and path in each run.
  PodNetwork NamedPod(const std::string& id) {
    PodNetwork pod;
    pod.name = "web";
    pod.name_space = "default";
    pod.sandbox_id = id;
    pod.netns_path = Path("ns/" + id);
    PinnedNamespaces what;
    what.net = pod.netns_path;
    const absl::Status status = PinNamespaces(what);
    EXPECT_TRUE(status.ok()) << status;
    return pod;
  }
  static std::string Sh(const std::string& script) { return Exec({kShell, "-c", script}); }

  // Nothing of any pod is on this host.
  void ExpectNothingLeft() {
    EXPECT_TRUE(Reserved("net").empty());
    EXPECT_TRUE(CacheFiles().empty());
    EXPECT_EQ(Sh("iptables-save -t nat; ip6tables-save -t nat").find("CNI-"), std::string::npos);
    std::string links;
    for (int i = 0; i < 500; ++i) {  // a namespace ends in the background
      links = Sh("ip -o link show type veth");
      if (links.empty()) {
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << links;
  }
};

}  // namespace davit::network
