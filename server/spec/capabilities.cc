// SPDX-License-Identifier: Apache-2.0
#include "base/caps.h"
#include "base/status.h"
#include "base/text.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

using Names = google::protobuf::RepeatedPtrField<std::string>;

struct NameSet {
  bool all = false;
  std::set<std::string> names;
};

absl::StatusOr<NameSet> Normalize(const Names& names, const std::string& field) {
  NameSet set;
  for (const std::string& name : names) {
    if (Lower(name) == "all") {
      set.all = true;
      continue;
    }
    absl::StatusOr<std::string> normal = NormalizeCapability(name);
    if (!normal.ok()) {
      return Annotate(normal.status(), field);
    }
    set.names.insert(*std::move(normal));
  }
  return set;
}

absl::Status CheckOwned(const std::set<std::string>& names, const std::set<std::string>& own,
                        const std::string& field) {
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    if (own.count(name) == 0) {
      missing.push_back(name);
    }
  }
  if (missing.empty()) {
    return absl::OkStatus();
  }
  return FailedPrecondition(
      "{}: davit does not have {} itself and cannot hand it on; start it with "
      "that capability or do not ask for it",
      field, Join(missing, ", "));
}

// What a container has before anything is added or dropped by name.
absl::StatusOr<std::set<std::string>> BaseSet(const SpecInput& input, bool add_all, bool drop_all) {
  if (drop_all) {
    return std::set<std::string>();
  }
  if (add_all) {
    return input.own_capabilities;
  }
  std::set<std::string> base;
  for (const std::string& name : input.node.default_capabilities) {
    absl::StatusOr<std::string> normal = NormalizeCapability(name);
    if (!normal.ok()) {
      return Annotate(normal.status(), "default_capabilities");
    }
    // A default that the daemon lacks was asked for by nobody.
    if (input.own_capabilities.count(*normal) != 0) {
      base.insert(*std::move(normal));
    }
  }
  return base;
}

}  // namespace

absl::StatusOr<Capabilities> ResolveCapabilities(const SpecInput& input) {
  const auto& request = SecurityContext(input).capabilities();
  ASSIGN_OR_RETURN(const NameSet add, Normalize(request.add_capabilities(), "add_capabilities"));
  ASSIGN_OR_RETURN(const NameSet drop, Normalize(request.drop_capabilities(), "drop_capabilities"));
  ASSIGN_OR_RETURN(const NameSet ambient,
                   Normalize(request.add_ambient_capabilities(), "add_ambient_capabilities"));
  RETURN_IF_ERROR(CheckOwned(add.names, input.own_capabilities, "add_capabilities"));
  RETURN_IF_ERROR(CheckOwned(ambient.names, input.own_capabilities, "add_ambient_capabilities"));

  Capabilities result;
  if (IsPrivileged(input)) {
    result.granted = input.own_capabilities;
  } else {
    ASSIGN_OR_RETURN(result.granted, BaseSet(input, add.all, drop.all));
    result.granted.insert(add.names.begin(), add.names.end());
    for (const std::string& name : drop.names) {
      result.granted.erase(name);
    }
  }
  result.ambient = ambient.all ? result.granted : ambient.names;
  result.granted.insert(result.ambient.begin(), result.ambient.end());
  return result;
}

Json CapabilitiesJson(const Capabilities& capabilities) {
  return {{"bounding", capabilities.granted},
          {"effective", capabilities.granted},
          {"permitted", capabilities.granted},
          {"inheritable", capabilities.ambient},
          {"ambient", capabilities.ambient}};
}

}  // namespace davit::server::spec
