// SPDX-License-Identifier: Apache-2.0
#include "network/builtin/bridge.h"

#include <sys/socket.h>

#include <algorithm>
#include <vector>

#include "base/alongside.h"
#include "base/json.h"
#include "base/namespace.h"
#include "base/status.h"
#include "network/builtin/host_local.h"
#include "network/builtin/host_side.h"
#include "network/builtin/link.h"
#include "network/builtin/pod_side.h"
#include "network/cni_config.h"
#include "network/result.h"

namespace davit::network::builtin {
namespace {

using nlohmann::json;

std::vector<Prefix> AddressesOf(const std::vector<Lease>& leases) {
  std::vector<Prefix> result;
  result.reserve(leases.size());
  for (const Lease& lease : leases) {
    result.push_back(lease.address);
  }
  return result;
}

// With those that isDefaultGateway stands for: one for each family, by its first gateway.
std::vector<Route> RoutesOf(const BridgePlan& plan, const std::vector<Lease>& leases) {
  std::vector<Route> routes = plan.routes;
  for (const Lease& lease : leases) {
    const int family = lease.gateway.family;
    const bool is_there = std::any_of(routes.begin(), routes.end(), [&](const Route& route) {
      return route.to.ip.family == family && route.to.length == 0;
    });
    if (plan.is_default_gateway && !is_there) {
      routes.push_back({{{.family = family}, 0}, lease.gateway});
    }
  }
  return routes;
}

struct Made {
  Link bridge;
  Link port;
  Link pod;
  std::vector<Lease> leases;
  std::vector<Route> routes;
};

json ResultOf(const BridgePlan& plan, const Target& target, const Made& made) {
  json ips = json::array();
  for (const Lease& lease : made.leases) {
    ips.push_back(
        {{"interface", 2}, {"address", ToText(lease.address)}, {"gateway", ToText(lease.gateway)}});
  }
  json result = {{"cniVersion", plan.cni_version},
                 {"interfaces",
                  json::array({json{{"name", made.bridge.name}, {"mac", ToText(made.bridge.mac)}},
                               json{{"name", made.port.name}, {"mac", ToText(made.port.mac)}},
                               json{{"name", made.pod.name},
                                    {"mac", ToText(made.pod.mac)},
                                    {"sandbox", target.netns}}})},
                 {"ips", ips},
                 {"dns", json::object()}};
  for (const Route& route : made.routes) {
    json each = {{"dst", ToText(route.to)}};
    if (route.via) {
      each["gw"] = ToText(*route.via);
    }
    result["routes"].push_back(std::move(each));
  }
  return result;
}

// The pod's addresses; none if the result does not have one of each set.
std::vector<Prefix> KnownAddresses(const BridgePlan& plan, std::string_view result) {
  if (result.empty()) {
    return {};
  }
  const absl::StatusOr<std::vector<std::string>> texts = PodAddresses(result);
  std::vector<Prefix> known;
  for (const std::string& text : texts.value_or(std::vector<std::string>())) {
    if (const std::optional<Prefix> address = ParsePrefix(text)) {
      known.push_back(*address);
    }
  }
  const bool complete =
      std::all_of(plan.ranges.begin(), plan.ranges.end(), [&](const RangeSet& set) {
        return std::any_of(known.begin(), known.end(), [&](const Prefix& address) {
          return std::any_of(set.begin(), set.end(),
                             [&](const Range& range) { return range.Has(address.ip); });
        });
      });
  return complete ? known : std::vector<Prefix>();
}

// The kernel takes some milliseconds (it waits for all who may still use the interface).
absl::Status DeletePodSide(const std::string& netns) {
  if (netns.empty()) {
    return absl::OkStatus();  // gone with its namespace
  }
  return RunInNetNs(netns, [] { return DeleteLink(kInterfaceName); });
}

}  // namespace

bool Bridge::IsPossible(const BridgePlan& plan) const {
  return !plan.ip_masq || masquerade_.IsPossible(plan.HasFamily(AF_INET), plan.HasFamily(AF_INET6));
}

absl::StatusOr<std::string> Bridge::Add(Context& ctx, const BridgePlan& plan,
                                        const Target& target) {
  Made made;
  ASSIGN_OR_RETURN(made.bridge, EnsureBridge(plan));
  ASSIGN_OR_RETURN(
      made.leases,
      HostLocal(plan.data_dir, plan.network).Reserve(ctx, plan.ranges, target.container));
  made.routes = RoutesOf(plan, made.leases);
  // The rules know nothing of interfaces.
  Alongside rules([&, this] {
    return plan.ip_masq
               ? masquerade_.Add(ctx, plan.network, target.container, AddressesOf(made.leases))
               : absl::OkStatus();
  });
  ASSIGN_OR_RETURN(made.port, CreatePort(plan, made.bridge, target.netns));
  RETURN_IF_ERROR(RunInNetNs(target.netns, [&] {
    absl::StatusOr<Link> link = ConfigurePodSide(ctx, made.leases, made.routes);
    made.pod = link.value_or(Link());
    return link.status();
  }));
  RETURN_IF_ERROR(WaitForPort(ctx, made.port));
  if (plan.is_gateway) {
    RETURN_IF_ERROR(EnsureGateways(plan, made.bridge, made.leases));
  }
  RETURN_IF_ERROR(rules.Join());
  ASSIGN_OR_RETURN(made.bridge, FindLink(plan.bridge));
  return DumpJson(ResultOf(plan, target, made));
}

absl::Status Bridge::RemoveRules(Context& ctx, const BridgePlan& plan, const Target& target,
                                 const std::vector<Prefix>& known) {
  if (!plan.ip_masq) {
    return absl::OkStatus();
  }
  if (!known.empty()) {
    return masquerade_.Remove(ctx, plan.network, target.container, known);
  }
  absl::Status first;
  for (const int family : {AF_INET, AF_INET6}) {
    if (plan.HasFamily(family)) {
      first.Update(masquerade_.Sweep(ctx, family, plan.network, target.container));
    }
  }
  return first;
}

absl::Status Bridge::Del(Context& ctx, const BridgePlan& plan, const Target& target,
                         std::string_view result) {
  const std::vector<Prefix> known = KnownAddresses(plan, result);
  Alongside rules([&, this] { return RemoveRules(ctx, plan, target, known); });
  absl::Status first = DeletePodSide(target.netns);
  if (first.ok()) {
    first = HostLocal(plan.data_dir, plan.network).Release(ctx, target.container, known);
  }
  first.Update(rules.Join());
  return first;
}

}  // namespace davit::network::builtin
