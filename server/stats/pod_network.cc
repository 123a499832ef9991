// SPDX-License-Identifier: Apache-2.0
#include "server/stats/pod_network.h"

#include <algorithm>
#include <string>

#include "server/paths.h"
#include "server/sandbox/pod_config.h"

namespace davit::server {
namespace {

constexpr char kDefaultInterface[] = "eth0";

void FillInterface(const InterfaceCounters& counters, runtime::v1::NetworkInterfaceUsage& usage) {
  usage.set_name(counters.name);
  usage.mutable_rx_bytes()->set_value(counters.rx_bytes);
  usage.mutable_rx_errors()->set_value(counters.rx_errors);
  usage.mutable_tx_bytes()->set_value(counters.tx_bytes);
  usage.mutable_tx_errors()->set_value(counters.tx_errors);
}

}  // namespace

std::vector<NetCounters> PodNetCounters(const Node& node,
                                        const std::vector<SandboxRecordPtr>& sandboxes) {
  const Paths paths(node.config.storage.run);
  std::vector<std::string> pins;
  std::vector<size_t> owners;
  for (size_t i = 0; i < sandboxes.size(); ++i) {
    if (!HostNetwork(sandboxes[i]->config())) {
      pins.push_back(paths.Pin(sandboxes[i]->id(), "net"));
      owners.push_back(i);
    }
  }
  std::vector<NetCounters> read = ReadNetCounters(pins);
  std::vector<NetCounters> all(sandboxes.size());
  for (size_t i = 0; i < owners.size(); ++i) {
    all[owners[i]] = std::move(read[i]);
  }
  return all;
}

void FillNetwork(const NetCounters& counters, runtime::v1::LinuxPodSandboxStats& stats) {
  const auto& interfaces = counters.interfaces;
  if (interfaces.empty()) {
    return;
  }
  auto chosen = std::find_if(interfaces.begin(), interfaces.end(),
                             [](const auto& each) { return each.name == kDefaultInterface; });
  if (chosen == interfaces.end()) {
    chosen = interfaces.begin();
  }
  auto& network = *stats.mutable_network();
  network.set_timestamp(counters.timestamp_ns);
  FillInterface(*chosen, *network.mutable_default_interface());
  for (auto it = interfaces.begin(); it != interfaces.end(); ++it) {
    if (it != chosen) {
      FillInterface(*it, *network.add_interfaces());
    }
  }
}

}  // namespace davit::server
