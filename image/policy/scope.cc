// SPDX-License-Identifier: Apache-2.0
#include "image/policy/scope.h"

#include <fmt/format.h>

namespace davit::image {
namespace {

ScopeMatch Match(const Policy& policy, const std::string& transport,
                 std::vector<std::string> scopes) {
  scopes.emplace_back();  // the default of the transport
  if (const auto found = policy.scopes.find(transport); found != policy.scopes.end()) {
    for (const std::string& scope : scopes) {
      const auto it = found->second.find(scope);
      if (it != found->second.end()) {
        return {.scope = scope.empty() ? fmt::format("default of transport \"{}\"", transport)
                                       : fmt::format("{} scope \"{}\"", transport, scope),
                .requirements = &it->second};
      }
    }
  }
  return {.scope = "default", .requirements = &policy.fallback};
}

// The path and its parents, without "/".
std::vector<std::string> PathAndParents(std::string path) {
  std::vector<std::string> scopes;
  while (path.size() > 1) {
    scopes.push_back(path);
    const size_t slash = path.rfind('/');
    path.resize(slash == std::string::npos ? 0 : slash);
  }
  return scopes;
}

}  // namespace

std::vector<std::string> ScopesOf(const Reference& reference) {
  std::vector<std::string> scopes = {reference.canonical()};
  std::string name = reference.repository();
  while (true) {
    scopes.push_back(name);
    const size_t slash = name.rfind('/');
    if (slash == std::string::npos) {
      break;
    }
    name.resize(slash);
  }
  // Wildcards are about domains: without the port.
  std::string domain = name.substr(0, name.find(':'));
  for (size_t dot = domain.find('.'); dot != std::string::npos; dot = domain.find('.')) {
    domain.erase(0, dot + 1);
    scopes.push_back("*." + domain);
  }
  return scopes;
}

ScopeMatch MatchDocker(const Policy& policy, const Reference& reference) {
  return Match(policy, "docker", ScopesOf(reference));
}

ScopeMatch MatchPath(const Policy& policy, const std::string& transport, const std::string& path) {
  return Match(policy, transport, PathAndParents(path));
}

}  // namespace davit::image
