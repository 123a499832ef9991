// SPDX-License-Identifier: Apache-2.0
#include "image/policy/policy.h"

#include <algorithm>
#include <array>

#include "base/status.h"
#include "base/text.h"
#include "image/policy/requirement_parser.h"
#include "image/policy/strict_json.h"

namespace davit::image {
namespace {

using nlohmann::json;

constexpr std::array kPathTransports = {"dir", "oci", "oci-archive", "sif"};
constexpr std::array kScopelessTransports = {"docker-archive", "tarball"};

template <size_t N>
bool IsOneOf(const std::string& text, const std::array<const char*, N>& list) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// A scope that can never match is a mistake that would silently leave images to another rule.
absl::Status CheckScope(const std::string& transport, const std::string& scope,
                        const std::string& where) {
  if (scope.empty()) {
    return absl::OkStatus();
  }
  if (IsOneOf(transport, kScopelessTransports)) {
    return InvalidArgument("{}: this transport has the scope \"\" only", where);
  }
  if (IsOneOf(transport, kPathTransports) && (scope.front() != '/' || scope == "/")) {
    return InvalidArgument("{}: the scope must be an absolute path, and for all paths \"\"", where);
  }
  if (transport == "docker" || transport == "atomic") {
    const size_t star = scope.find('*');
    if (star != std::string::npos && (star != 0 || scope.find('*', 1) != std::string::npos ||
                                      !scope.starts_with("*.") || scope.size() < 3)) {
      return InvalidArgument("{}: '*' is known only at the start, as in \"*.example.com\"", where);
    }
    if (scope.find("//") != std::string::npos || scope.back() == '/' || scope.front() == '/') {
      return InvalidArgument("{}: the scope is host[:port][/path][:tag] without empty parts",
                             where);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Requirements> ParseRequirements(const json& value, const std::string& where) {
  if (!value.is_array() || value.empty()) {
    return InvalidArgument("{} is not a list of at least one requirement", where);
  }
  Requirements requirements;
  for (size_t i = 0; i < value.size(); ++i) {
    ASSIGN_OR_RETURN(auto requirement,
                     ParseRequirement(value[i], fmt::format("{}, requirement {}", where, i + 1)));
    requirements.push_back(std::move(requirement));
  }
  return requirements;
}

absl::Status ParseTransport(const std::string& transport, const json& value, Policy& policy) {
  const std::string name = "transport \"" + Printable(transport) + "\"";
  if (!value.is_object()) {
    return InvalidArgument("{} is not an object", name);
  }
  auto& scopes = policy.scopes[transport];
  for (const auto& item : value.items()) {
    const std::string where = name + ", scope \"" + Printable(item.key()) + "\"";
    RETURN_IF_ERROR(CheckScope(transport, item.key(), where));
    ASSIGN_OR_RETURN(scopes[item.key()], ParseRequirements(item.value(), where));
  }
  return absl::OkStatus();
}

}  // namespace

const char* Requirement::type_name() const {
  switch (type) {
    case Type::kAcceptAnything:
      return "insecureAcceptAnything";
    case Type::kReject:
      return "reject";
    case Type::kSignedBy:
      return "signedBy";
    case Type::kSigstoreSigned:
      return "sigstoreSigned";
  }
  return "?";
}

absl::StatusOr<Policy> ParsePolicy(std::string_view text) {
  ASSIGN_OR_RETURN(const json root, ParseStrictJson(text, "policy", kMaxPolicyBytes));
  RETURN_IF_ERROR(CheckObject(root, {"default", "transports"}, "the policy"));
  ASSIGN_OR_RETURN(const json* fallback, ValueAt(root, "default", "the policy"));
  Policy policy;
  ASSIGN_OR_RETURN(policy.fallback, ParseRequirements(*fallback, "\"default\""));
  if (!root.contains("transports")) {
    return policy;
  }
  const json& transports = root["transports"];
  if (!transports.is_object()) {
    return InvalidArgument("\"transports\" is not an object");
  }
  for (const auto& item : transports.items()) {
    RETURN_IF_ERROR(ParseTransport(item.key(), item.value(), policy));
  }
  return policy;
}

Policy AcceptAnythingPolicy() {
  Policy policy;
  policy.fallback.push_back({.type = Requirement::Type::kAcceptAnything});
  return policy;
}

}  // namespace davit::image
