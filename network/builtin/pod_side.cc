// SPDX-License-Identifier: Apache-2.0
#include "network/builtin/pod_side.h"

#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "network/builtin/address.h"
#include "network/cni_config.h"

namespace davit::network::builtin {
namespace {

constexpr size_t kMaxSysctlBytes = 64;

bool IsSix(const Lease& lease) {
  return lease.address.ip.family == AF_INET6;
}

absl::Status AllowSix() {
  for (const char* name : {"lo", kInterfaceName}) {
    RETURN_IF_ERROR(SetNetSysctl(fmt::format("ipv6/conf/{}/disable_ipv6", name), "0"));
  }
  return absl::OkStatus();
}

std::optional<Ip> GatewayOf(const std::vector<Lease>& leases, int family) {
  for (const Lease& lease : leases) {
    if (lease.gateway.family == family) {
      return lease.gateway;
    }
  }
  return std::nullopt;
}

}  // namespace

absl::Status SetNetSysctl(const std::string& name, const std::string& value) {
  const std::string path = "/proc/sys/net/" + name;
  const absl::StatusOr<std::string> now = ReadFile(path, kMaxSysctlBytes);
  if (absl::IsNotFound(now.status()) || (now.ok() && Trim(*now) == value)) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(now.status());
  return WriteExisting(path, value);
}

absl::StatusOr<Link> ConfigurePodSide(Context& ctx, const std::vector<Lease>& leases,
                                      const std::vector<Route>& routes) {
  ASSIGN_OR_RETURN(Link link, FindLink(kInterfaceName));
  RETURN_IF_ERROR(SetNetSysctl(fmt::format("ipv6/conf/{}/accept_dad", link.name), "0"));
  RETURN_IF_ERROR(SetNetSysctl(fmt::format("ipv4/conf/{}/arp_notify", link.name), "1"));
  const bool has_six = std::any_of(leases.begin(), leases.end(), IsSix);
  if (has_six) {
    RETURN_IF_ERROR(AllowSix());
  }
  for (const Lease& lease : leases) {
    RETURN_IF_ERROR(AddAddress(link, lease.address));
  }
  RETURN_IF_ERROR(SetUp(link));
  if (has_six) {
    RETURN_IF_ERROR(WaitForAddresses6(ctx, link));
  }
  for (const Route& route : routes) {
    RETURN_IF_ERROR(
        AddRoute(link, route.to, route.via ? route.via : GatewayOf(leases, route.to.ip.family)));
  }
  return link;
}

}  // namespace davit::network::builtin
