// SPDX-License-Identifier: Apache-2.0
#include "image/registries/short_name.h"

#include <algorithm>

#include "base/status.h"
#include "base/text.h"

namespace davit::image {
namespace {

// The configuration's own list, if there is one, stands above registries.conf.
std::vector<std::string> SearchList(const RegistriesConf& conf, const config::Image& config) {
  if (!config.unqualified_search.empty()) {
    return config.unqualified_search;
  }
  return conf.unqualified_search.value_or(std::vector<std::string>{"docker.io"});
}

ShortNameMode Mode(const RegistriesConf& conf, const config::Image& config) {
  if (config.short_name_mode == "permissive") {
    return ShortNameMode::kPermissive;
  }
  if (config.short_name_mode == "disabled") {
    return ShortNameMode::kDisabled;
  }
  return config.short_name_mode.empty() ? conf.short_name_mode.value_or(ShortNameMode::kEnforcing)
                                        : ShortNameMode::kEnforcing;
}

}  // namespace

absl::StatusOr<std::vector<Reference>> CandidatesOf(const std::string& name,
                                                    const RegistriesConf& conf,
                                                    const config::Image& config) {
  ASSIGN_OR_RETURN(Reference whole, Reference::Parse(name));
  if (!IsShortName(name)) {
    return std::vector<Reference>{std::move(whole)};
  }
  const size_t end = std::min(name.find_first_of(":@"), name.size());
  const auto alias = conf.aliases.find(name.substr(0, end));
  if (alias != conf.aliases.end() && !alias->second.empty()) {
    ASSIGN_OR_RETURN(Reference reference, Reference::Parse(alias->second + name.substr(end)));
    return std::vector<Reference>{std::move(reference)};
  }
  std::vector<Reference> candidates;
  for (const std::string& host : SearchList(conf, config)) {
    ASSIGN_OR_RETURN(Reference reference, Reference::Parse(name, host));
    candidates.push_back(std::move(reference));
  }
  return candidates;
}

absl::StatusOr<std::vector<Reference>> ResolveName(const std::string& name,
                                                   const RegistriesConf& conf,
                                                   const config::Image& config) {
  ASSIGN_OR_RETURN(std::vector<Reference> candidates, CandidatesOf(name, conf, config));
  if (candidates.empty()) {
    return FailedPrecondition(
        "short name '{}' has no alias, and there are no registries to search "
        "(unqualified-search-registries is empty): write the registry too",
        Printable(name, 300));
  }
  if (candidates.size() > 1 && Mode(conf, config) == ShortNameMode::kEnforcing) {
    return FailedPrecondition(
        "short name '{}' is ambiguous: {} could have it, and short-name-mode is enforcing; write "
        "the registry too, or make an alias in registries.conf",
        Printable(name, 300), Join(SearchList(conf, config), ", "));
  }
  return candidates;
}

}  // namespace davit::image
