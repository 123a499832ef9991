// SPDX-License-Identifier: Apache-2.0
#include "network/builtin/host_side.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/fd.h"
#include "base/file.h"
#include "base/id.h"
#include "base/status.h"
#include "network/builtin/address.h"
#include "network/builtin/pod_side.h"
#include "network/cni_config.h"

namespace davit::network::builtin {
namespace {

constexpr int kNameTries = 8;
constexpr size_t kNameDigits = 8;
constexpr std::chrono::milliseconds kPortPause{2};
constexpr std::chrono::seconds kPortTimeout{3};

// The node has its own routes there: none that somebody on the bridge announces.
absl::Status IgnoreRouters(const std::string& name) {
  return SetNetSysctl(fmt::format("ipv6/conf/{}/accept_ra", name), "0");
}

absl::StatusOr<Link> FindOrCreateBridge(const BridgePlan& plan) {
  absl::StatusOr<Link> link = FindLink(plan.bridge);
  if (!absl::IsNotFound(link.status())) {
    return link;
  }
  const absl::Status created = CreateBridge(plan.bridge, plan.mtu);
  if (!created.ok() && !absl::IsAlreadyExists(created)) {  // another pod's call was faster
    return created;
  }
  return FindLink(plan.bridge);
}

absl::StatusOr<std::string> CreatePair(VethPair pair) {
  absl::Status status;
  for (int i = 0; i < kNameTries; ++i) {
    pair.name = "veth" + NewId().substr(0, kNameDigits);
    status = CreateVeth(pair);
    if (!absl::IsAlreadyExists(status)) {
      break;
    }
  }
  if (!status.ok()) {
    return status;
  }
  return pair.name;
}

absl::Status ForwardPackets(int family) {
  return SetNetSysctl(family == AF_INET ? "ipv4/ip_forward" : "ipv6/conf/all/forwarding", "1");
}

// A bridge has one address of IPv4; of IPv6 it may have some that have nothing in common.
bool Collide(const Prefix& a, const Prefix& b) {
  return a.ip.family == AF_INET || Contains(a, b.ip) || Contains(b, a.ip);
}

// True if the bridge has the address. Those in its way are removed, if they may be.
absl::StatusOr<bool> MakeRoom(const BridgePlan& plan, const Link& bridge, const Prefix& address) {
  ASSIGN_OR_RETURN(const std::vector<Prefix> present, AddressesOf(bridge, address.ip.family));
  if (std::find(present.begin(), present.end(), address) != present.end()) {
    return true;
  }
  for (const Prefix& other : present) {
    if (!Collide(other, address)) {
      continue;
    }
    if (!plan.force_address) {
      return FailedPrecondition(
          "failed to set bridge addr: \"{}\" already has an IP address different from {}: {}; "
          "remove it, or set forceAddress",
          bridge.name, ToText(address), ToText(other));
    }
    RETURN_IF_ERROR(DeleteAddress(bridge, other));
  }
  return false;
}

absl::Status EnsureGateway(const BridgePlan& plan, const Link& bridge, const Prefix& address) {
  // The list is as long as the node has addresses: of IPv6 one for each pod.
  if (address.ip.family == AF_INET6 && HasAddress6(bridge, address)) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const bool is_there, MakeRoom(plan, bridge, address));
  if (is_there) {
    return absl::OkStatus();
  }
  if (const absl::Status added = AddAddress(bridge, address); !added.ok()) {
    return absl::IsAlreadyExists(added) ? absl::OkStatus() : added;
  }
  // Its first port has changed it; neighbours have learnt the one before.
  return SetMac(bridge);
}

}  // namespace

absl::StatusOr<Link> EnsureBridge(const BridgePlan& plan) {
  ASSIGN_OR_RETURN(Link bridge, FindOrCreateBridge(plan));
  if (bridge.kind != "bridge") {
    return FailedPrecondition(
        "\"{}\" already exists but is not a bridge: remove it, or give the network another one",
        plan.bridge);
  }
  RETURN_IF_ERROR(IgnoreRouters(plan.bridge));
  if (!bridge.is_up) {
    RETURN_IF_ERROR(SetUp(bridge));
  }
  return bridge;
}

absl::StatusOr<Link> CreatePort(const BridgePlan& plan, const Link& bridge,
                                const std::string& netns) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(netns, O_RDONLY));
  ASSIGN_OR_RETURN(const std::string name, CreatePair({.name = "",
                                                       .bridge_index = bridge.index,
                                                       .peer_name = kInterfaceName,
                                                       .peer_netns_fd = fd.get(),
                                                       .mtu = plan.mtu}));
  ASSIGN_OR_RETURN(Link port, FindLink(name));
  RETURN_IF_ERROR(IgnoreRouters(name));
  RETURN_IF_ERROR(SetPortUp(port, plan.hairpin));
  return port;
}

absl::Status WaitForPort(Context& ctx, const Link& port) {
  Context limited(ctx, kPortTimeout);
  while (true) {
    ASSIGN_OR_RETURN(const Link now, FindLink(port.name));
    if (now.is_running) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(Annotate(limited.Check(), "wait until the port " + port.name + " is up"));
    std::this_thread::sleep_for(kPortPause);
  }
}

absl::Status EnsureGateways(const BridgePlan& plan, const Link& bridge,
                            const std::vector<Lease>& leases) {
  for (const Lease& lease : leases) {
    RETURN_IF_ERROR(EnsureGateway(plan, bridge, {lease.gateway, lease.address.length}));
    RETURN_IF_ERROR(ForwardPackets(lease.gateway.family));
  }
  return absl::OkStatus();
}

}  // namespace davit::network::builtin
