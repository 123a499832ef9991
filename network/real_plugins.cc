// SPDX-License-Identifier: Apache-2.0
#include "network/real_plugins.h"

#include <algorithm>

#include "base/file.h"

namespace davit::network {

using nlohmann::json;

void RealPluginsTest::SetUp() {
  NetworkTest::SetUp();
  if (!PathExists("/usr/lib/cni/bridge") && !PathExists("/opt/cni/bin/bridge")) {
    GTEST_SKIP() << "needs the package containernetworking-plugins";
  }
}

json RealPluginsTest::Ipam() const {
  return {{"type", "host-local"}, {"subnet", "10.202.0.0/24"}, {"dataDir", Path("ipam")}};
}

json RealPluginsTest::RoutedIpam() const {
  json ipam = Ipam();
  ipam["routes"] = json::array({json{{"dst", "0.0.0.0/0"}}});
  return ipam;
}

json RealPluginsTest::DualIpam() const {
  return {{"type", "host-local"},
          {"dataDir", Path("ipam")},
          {"ranges", json::array({json::array({json{{"subnet", "10.202.0.0/24"}}}),
                                  json::array({json{{"subnet", "fd00:202::/64"}}})})},
          {"routes", json::array({json{{"dst", "0.0.0.0/0"}}, json{{"dst", "::/0"}}})}};
}

void RealPluginsTest::ConfigureChain(const std::vector<json>& plugins) {
  Configure("10-chain.conflist",
            DumpJson({{"cniVersion", "1.0.0"}, {"name", "chain"}, {"plugins", plugins}}));
}

void RealPluginsTest::ExpectAdded(const PodNetwork& pod, const NetworkResult& result) {
  ASSERT_EQ(result.ips.size(), 1U);
  const std::string addresses = ExecIn(pod.netns_path, {kIp, "-o", "addr", "show"});
  EXPECT_NE(addresses.find("eth0    inet " + result.ips[0] + "/"), std::string::npos) << addresses;
  EXPECT_NE(addresses.find("127.0.0.1"), std::string::npos) << addresses;
  EXPECT_NE(ExecIn(pod.netns_path, {kIp, "route"}).find("default via"), std::string::npos);
}

std::string RealPluginsTest::ExecVersion(const std::string& plugin) {
  return Exec({"/usr/bin/env", "CNI_COMMAND=VERSION", plugin});
}

int RealPluginsTest::HostVeths() {
  const std::string links = Exec({kIp, "-o", "link", "show", "type", "veth"});
  return static_cast<int>(std::count(links.begin(), links.end(), '\n'));
}

}  // namespace davit::network
