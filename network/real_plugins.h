// SPDX-License-Identifier: Apache-2.0
//
// For tests of the plugins of the distribution, in a network namespace that plays the host. Skipped
// where they are not installed.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "network/test_util.h"

namespace davit::network {

class RealPluginsTest : public NetworkTest {
 protected:
  void SetUp() override;

  // host-local with a range of IPv4 addresses (10.202.0.0/24), without routes.
  [[nodiscard]] nlohmann::json Ipam() const;
  // The same with a default route.
  [[nodiscard]] nlohmann::json RoutedIpam() const;
  // Both families (fd00:202::/64), each with a default route.
  [[nodiscard]] nlohmann::json DualIpam() const;
  // A network named "chain".
  void ConfigureChain(const std::vector<nlohmann::json>& plugins);

  // The pod's interface has the one address of the result, its loopback is up, and it has a way
  // out.
  static void ExpectAdded(const PodNetwork& pod, const NetworkResult& result);
  static std::string ExecVersion(const std::string& plugin);
  // Veth ends on the host.
  static int HostVeths();
};

}  // namespace davit::network
