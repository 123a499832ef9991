// SPDX-License-Identifier: Apache-2.0
#include "network/builtin/bridge_plan.h"

#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <utility>

#include "base/json.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::network::builtin {
namespace {

using nlohmann::json;

constexpr char kDefaultBridge[] = "cni0";

// Reads the keys of one object by their types and remembers what went wrong first; Finish()
// complains of those that nobody has read.
class Reader {
 public:
  Reader(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) {
      status_ = Unimplemented("{} is no object", where_.empty() ? "it" : where_);
    }
  }

  const json* Find(const char* key) {
    known_.emplace_back(key);
    const auto found = object_.is_object() ? object_.find(key) : object_.end();
    return found == object_.end() ? nullptr : &*found;
  }
  std::string String(const char* key) {
    const json* const value = Find(key);
    if (value != nullptr && !value->is_string()) {
      Refuse(key);
    }
    return value != nullptr && value->is_string() ? value->get<std::string>() : "";
  }
  bool Bool(const char* key) {
    const json* const value = Find(key);
    if (value != nullptr && !value->is_boolean()) {
      Refuse(key);
    }
    return value != nullptr && value->is_boolean() && value->get<bool>();
  }
  int Number(const char* key) {
    const json* const value = Find(key);
    if (value == nullptr) {
      return 0;
    }
    if (!value->is_number_integer() || *value < 0 ||
        *value > std::numeric_limits<uint16_t>::max()) {
      Refuse(key);
      return 0;
    }
    return value->get<int>();
  }
  const json& List(const char* key) {
    static const json kEmpty = json::array();
    const json* const value = Find(key);
    if (value != nullptr && !value->is_array()) {
      Refuse(key);
    }
    return value != nullptr && value->is_array() ? *value : kEmpty;
  }
  void Refuse(const char* key) {
    status_.Update(Unimplemented("the value of \"{}{}\"", where_, key));
  }
  absl::Status Finish() {
    for (const auto& [key, value] : object_.items()) {
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
        status_.Update(Unimplemented("the key \"{}{}\"", where_, Printable(key, 40)));
      }
    }
    return status_;
  }

 private:
  const json& object_;
  const std::string where_;
  std::vector<std::string> known_;
  absl::Status status_;
};

absl::StatusOr<Range> ParseRange(const json& object) {
  Reader reader(object, "ipam.ranges.");
  const std::string subnet = reader.String("subnet");
  const std::string first = reader.String("rangeStart");
  const std::string last = reader.String("rangeEnd");
  const std::string gateway = reader.String("gateway");
  RETURN_IF_ERROR(reader.Finish());
  const std::optional<Range> range = MakeRange(subnet, first, last, gateway);
  if (!range) {
    return Unimplemented("the range of the subnet \"{}\"", Printable(subnet, 60));
  }
  return *range;
}

absl::StatusOr<Route> ParseRoute(const json& object) {
  Reader reader(object, "ipam.routes.");
  const std::string to = reader.String("dst");
  const std::string via = reader.String("gw");
  RETURN_IF_ERROR(reader.Finish());
  const bool is_default = to == "::/0";
  const std::optional<Prefix> prefix =
      is_default ? Prefix{{.family = AF_INET6}, 0} : ParsePrefix(to);
  Route route;
  if (!prefix || FirstOf(*prefix) != prefix->ip) {
    return Unimplemented("the route to \"{}\"", Printable(to, 60));
  }
  route.to = *prefix;
  if (!via.empty()) {
    route.via = ParseIp(via);
    if (!route.via || route.via->family != prefix->ip.family) {
      return Unimplemented("the route by \"{}\"", Printable(via, 60));
    }
  }
  return route;
}

absl::Status ParseRanges(Reader& reader, const json& ipam, BridgePlan& plan) {
  // The older form names one range beside the others; it counts first.
  if (ipam.contains("subnet")) {
    json only = json::object();
    for (const char* key : {"subnet", "rangeStart", "rangeEnd", "gateway"}) {
      if (const json* const value = reader.Find(key); value != nullptr) {
        only[key] = *value;
      }
    }
    ASSIGN_OR_RETURN(const Range range, ParseRange(only));
    plan.ranges.push_back({range});
  }
  for (const json& set : reader.List("ranges")) {
    RangeSet parsed;
    if (!set.is_array() || set.empty()) {
      return Unimplemented("an entry of \"ipam.ranges\"");
    }
    for (const json& each : set) {
      ASSIGN_OR_RETURN(const Range range, ParseRange(each));
      parsed.push_back(range);
    }
    plan.ranges.push_back(std::move(parsed));
  }
  if (plan.ranges.empty() || !AreDisjoint(plan.ranges)) {
    return Unimplemented("\"ipam.ranges\", which are none or not apart");
  }
  return absl::OkStatus();
}

bool HasRoute(const BridgePlan& plan, int family) {
  return std::any_of(plan.routes.begin(), plan.routes.end(), [&](const Route& route) {
    return route.to.ip.family == family && route.to.length == 0;
  });
}

absl::Status ParseIpam(const json& ipam, BridgePlan& plan) {
  Reader reader(ipam, "ipam.");
  if (reader.String("type") != "host-local") {
    return Unimplemented("\"ipam.type\", which is not host-local");
  }
  plan.data_dir = reader.String("dataDir");
  if (!plan.data_dir.empty() && plan.data_dir.front() != '/') {
    reader.Refuse("dataDir");
  }
  RETURN_IF_ERROR(ParseRanges(reader, ipam, plan));
  for (const json& each : reader.List("routes")) {
    ASSIGN_OR_RETURN(const Route route, ParseRoute(each));
    if (!plan.HasFamily(route.to.ip.family)) {
      return Unimplemented("the route to \"{}\", for which there is no address", ToText(route.to));
    }
    plan.routes.push_back(route);
  }
  return reader.Finish();
}

void ReadSwitches(Reader& reader, BridgePlan& plan) {
  plan.is_default_gateway = reader.Bool("isDefaultGateway");
  plan.is_gateway = reader.Bool("isGateway") || plan.is_default_gateway;
  plan.force_address = reader.Bool("forceAddress");
  plan.ip_masq = reader.Bool("ipMasq");
  plan.hairpin = reader.Bool("hairpinMode");
  plan.mtu = reader.Number("mtu");
  // What is not done here may still be named, and switched off.
  for (const char* key : {"promiscMode", "macspoofchk", "enabledad"}) {
    if (reader.Bool(key)) {
      reader.Refuse(key);
    }
  }
  if (reader.Number("vlan") != 0) {
    reader.Refuse("vlan");
  }
}

}  // namespace

bool BridgePlan::HasFamily(int family) const {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const RangeSet& set) { return set.front().first.family == family; });
}

absl::StatusOr<BridgePlan> ParseBridgePlan(std::string_view text) {
  ASSIGN_OR_RETURN(const json root, ParseJson(text, "plugin bridge"));
  BridgePlan plan;
  Reader reader(root, "");
  if (reader.String("type") != "bridge") {
    return Unimplemented("a type that is not bridge");
  }
  plan.network = reader.String("name");
  plan.cni_version = reader.String("cniVersion");
  // Plugins that know 1.1 say more in their results than those whose ways are followed here.
  if (plan.cni_version.starts_with("1.1")) {
    reader.Refuse("cniVersion");
  }
  plan.bridge = reader.String("bridge");
  if (plan.bridge.empty()) {
    plan.bridge = kDefaultBridge;
  }
  if (plan.bridge.size() >= IFNAMSIZ || plan.bridge.find('/') != std::string::npos) {
    reader.Refuse("bridge");
  }
  ReadSwitches(reader, plan);
  const json* const ipam = reader.Find("ipam");
  RETURN_IF_ERROR(reader.Finish());
  if (ipam == nullptr) {
    return Unimplemented("a network without addresses");
  }
  RETURN_IF_ERROR(ParseIpam(*ipam, plan));
  for (const int family : {AF_INET, AF_INET6}) {
    if (plan.is_default_gateway && HasRoute(plan, family)) {
      return Unimplemented("\"isDefaultGateway\" beside a default route");
    }
  }
  return plan;
}

}  // namespace davit::network::builtin
