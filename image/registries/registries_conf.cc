// SPDX-License-Identifier: Apache-2.0
#include "image/registries/registries_conf.h"

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "image/reference.h"
#include "image/registries/toml.h"

namespace davit::image {
namespace {

constexpr size_t kMaxFile = size_t{1} << 20U;
constexpr std::string_view kWildcard = "*.";

// host[:port][/path]: the grammar of references knows what that may be.
bool IsLocation(const std::string& text) {
  const size_t slash = text.find('/');
  return IsDomain(text.substr(0, slash)) &&
         (slash == std::string::npos ||
          Reference::Parse("x.invalid" + text.substr(slash) + "/x").ok());
}

// A location, to which a tag or a digest may be added, or "*.example.com".
bool IsPrefix(const std::string& text) {
  if (text.starts_with(kWildcard)) {
    return text.find_first_of(":/") == std::string::npos && IsDomain(text.substr(kWildcard.size()));
  }
  return IsLocation(text) || (text.find('/') != std::string::npos && Reference::Parse(text).ok());
}

class Parser {
 public:
  explicit Parser(std::string file) : file_(std::move(file)) {}

  absl::StatusOr<RegistriesConf> Parse(std::string_view text) {
    ASSIGN_OR_RETURN(const toml::table root, ParseToml(text, file_));
    if (const toml::node* const old = root.get("registries"); old != nullptr) {
      return TomlError(file_, *old,
                       "[registries] is version 1 of this file, which is not read; write "
                       "[[registry]] and unqualified-search-registries instead");
    }
    Ignore(root, {"unqualified-search-registries", "short-name-mode", "credential-helpers",
                  "registry", "aliases", "additional-layer-store-auth-helper"});
    RETURN_IF_ERROR(ReadLists(root));
    RETURN_IF_ERROR(ReadMode(root));
    RETURN_IF_ERROR(ReadAliases(root));
    RETURN_IF_ERROR(ReadRegistries(root));
    return std::move(conf_);
  }

 private:
  void Ignore(const toml::table& table, const std::vector<std::string_view>& known) {
    for (std::string& warning : UnknownKeys(file_, table, known)) {
      conf_.warnings.push_back(std::move(warning));
    }
  }

  absl::Status ReadLists(const toml::table& root) {
    if (const toml::node* const node = root.get("unqualified-search-registries")) {
      ASSIGN_OR_RETURN(conf_.unqualified_search,
                       TomlStrings(file_, root, "unqualified-search-registries"));
      for (const std::string& host : *conf_.unqualified_search) {
        if (!IsDomain(host)) {
          return TomlError(file_, *node,
                           fmt::format("unqualified-search-registries: '{}' is not host[:port]",
                                       Printable(host, 200)));
        }
      }
    }
    if (root.get("credential-helpers") != nullptr) {
      ASSIGN_OR_RETURN(conf_.credential_helpers, TomlStrings(file_, root, "credential-helpers"));
    }
    return absl::OkStatus();
  }

  absl::Status ReadMode(const toml::table& root) {
    ASSIGN_OR_RETURN(const std::string mode, TomlString(file_, root, "short-name-mode"));
    const std::map<std::string, ShortNameMode> known = {{"enforcing", ShortNameMode::kEnforcing},
                                                        {"permissive", ShortNameMode::kPermissive},
                                                        {"disabled", ShortNameMode::kDisabled}};
    if (mode.empty()) {
      return absl::OkStatus();
    }
    const auto found = known.find(mode);
    if (found == known.end()) {
      return TomlError(file_, *root.get("short-name-mode"),
                       fmt::format("short-name-mode '{}' is not enforcing, permissive or disabled",
                                   Printable(mode, 100)));
    }
    conf_.short_name_mode = found->second;
    return absl::OkStatus();
  }

  absl::Status ReadAliases(const toml::table& root) {
    const toml::node* const node = root.get("aliases");
    if (node == nullptr) {
      return absl::OkStatus();
    }
    const toml::table* const table = node->as_table();
    if (table == nullptr) {
      return TomlError(file_, *node, "aliases is not a table");
    }
    for (const auto& [key, value] : *table) {
      const std::string name(key.str());
      ASSIGN_OR_RETURN(const std::string target, TomlString(file_, *table, key.str()));
      const auto parsed = Reference::Parse(target);
      const bool whole = parsed.ok() && !IsShortName(target) && parsed->digest.empty() &&
                         parsed->repository().size() == target.size();
      if (!target.empty() && !whole) {
        return TomlError(file_, value,
                         fmt::format("alias {}: '{}' is not host/repository, without a tag",
                                     Printable(name, 100), Printable(target, 200)));
      }
      if (!IsShortName(name) || name.find_first_of(":@") != std::string::npos ||
          !Reference::Parse(name).ok()) {
        return TomlError(
            file_, value,
            fmt::format("alias '{}' is not a short name without a tag", Printable(name, 100)));
      }
      conf_.aliases[name] = target;
    }
    return absl::OkStatus();
  }

  absl::Status ReadRegistries(const toml::table& root) {
    const toml::node* const node = root.get("registry");
    if (node == nullptr) {
      return absl::OkStatus();
    }
    const toml::array* const array = node->as_array();
    if (array == nullptr) {
      return TomlError(file_, *node, "registry is not an array of tables: write [[registry]]");
    }
    for (const toml::node& element : *array) {
      const toml::table* const table = element.as_table();
      if (table == nullptr) {
        return TomlError(file_, element, "registry is not an array of tables: write [[registry]]");
      }
      RETURN_IF_ERROR(ReadRegistry(*table));
    }
    return absl::OkStatus();
  }

  absl::Status ReadRegistry(const toml::table& table) {
    Ignore(table, {"prefix", "location", "insecure", "blocked", "mirror-by-digest-only", "mirror"});
    RegistryEntry entry;
    entry.origin = fmt::format("{}:{}", file_, table.source().begin.line);
    ASSIGN_OR_RETURN(entry.location, Location(table, "location"));
    ASSIGN_OR_RETURN(entry.prefix, TomlString(file_, table, "prefix"));
    ASSIGN_OR_RETURN(entry.insecure, TomlBool(file_, table, "insecure"));
    ASSIGN_OR_RETURN(entry.blocked, TomlBool(file_, table, "blocked"));
    ASSIGN_OR_RETURN(const bool by_digest, TomlBool(file_, table, "mirror-by-digest-only"));
    while (entry.prefix.ends_with('/')) {
      entry.prefix.pop_back();
    }
    if (entry.prefix.empty()) {
      entry.prefix = entry.location;
    }
    if (entry.prefix.empty()) {
      return TomlError(file_, table, "[[registry]] has neither prefix nor location");
    }
    if (!IsPrefix(entry.prefix)) {
      return TomlError(file_, *table.get(table.get("prefix") != nullptr ? "prefix" : "location"),
                       fmt::format("prefix '{}' is neither host[:port][/path] nor *.domain",
                                   Printable(entry.prefix, 200)));
    }
    if (entry.location.empty() && !entry.prefix.starts_with(kWildcard)) {
      entry.location = entry.prefix;
    }
    RETURN_IF_ERROR(ReadMirrors(table, by_digest, entry));
    const auto [place, fresh] = conf_.registries.emplace(entry.prefix, entry);
    if (!fresh) {
      return TomlError(file_, table,
                       fmt::format("prefix '{}' has an entry at {} already",
                                   Printable(entry.prefix, 200), place->second.origin));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Location(const toml::table& table, std::string_view key) {
    ASSIGN_OR_RETURN(std::string location, TomlString(file_, table, key));
    while (location.ends_with('/')) {
      location.pop_back();
    }
    if (!location.empty() && !IsLocation(location)) {
      return TomlError(
          file_, *table.get(key),
          fmt::format("{} '{}' is not host[:port][/path]{}", key, Printable(location, 200),
                      location.find("://") == std::string::npos
                          ? ""
                          : ": leave the scheme away, and set insecure = true for plain http"));
    }
    return location;
  }

  absl::Status ReadMirrors(const toml::table& table, bool by_digest, RegistryEntry& entry) {
    const toml::node* const node = table.get("mirror");
    if (node == nullptr) {
      return absl::OkStatus();
    }
    const toml::array* const array = node->as_array();
    if (array == nullptr) {
      return TomlError(file_, *node, "mirror is not an array of tables: write [[registry.mirror]]");
    }
    for (const toml::node& element : *array) {
      const toml::table* const mirror = element.as_table();
      if (mirror == nullptr) {
        return TomlError(file_, element,
                         "mirror is not an array of tables: write [[registry.mirror]]");
      }
      RETURN_IF_ERROR(ReadMirror(*mirror, by_digest, entry));
    }
    return absl::OkStatus();
  }

  absl::Status ReadMirror(const toml::table& table, bool by_digest, RegistryEntry& entry) {
    using Use = RegistryMirror::Use;
    Ignore(table, {"location", "insecure", "pull-from-mirror"});
    RegistryMirror mirror;
    ASSIGN_OR_RETURN(mirror.location, Location(table, "location"));
    if (mirror.location.empty()) {
      return TomlError(file_, table, "[[registry.mirror]] has no location");
    }
    ASSIGN_OR_RETURN(mirror.insecure, TomlBool(file_, table, "insecure"));
    ASSIGN_OR_RETURN(const std::string use, TomlString(file_, table, "pull-from-mirror"));
    const std::map<std::string, Use> known = {{"", by_digest ? Use::kDigestOnly : Use::kAll},
                                              {"all", Use::kAll},
                                              {"digest-only", Use::kDigestOnly},
                                              {"tag-only", Use::kTagOnly}};
    const auto found = known.find(use);
    if (found == known.end()) {
      return TomlError(file_, *table.get("pull-from-mirror"),
                       fmt::format("pull-from-mirror '{}' is not all, digest-only or tag-only",
                                   Printable(use, 100)));
    }
    if (by_digest && !use.empty()) {
      return TomlError(file_, *table.get("pull-from-mirror"),
                       "pull-from-mirror contradicts the registry's mirror-by-digest-only");
    }
    mirror.use = found->second;
    entry.mirrors.push_back(std::move(mirror));
    return absl::OkStatus();
  }

  const std::string file_;
  RegistriesConf conf_;
};

absl::Status MergeFile(const std::string& file, RegistriesConf& conf) {
  auto text = ReadFile(file, kMaxFile);
  if (absl::IsNotFound(text.status())) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(text.status());
  ASSIGN_OR_RETURN(RegistriesConf more, ParseRegistriesConf(*text, file));
  MergeRegistriesConf(conf, std::move(more));
  return absl::OkStatus();
}

}  // namespace

size_t MatchPrefix(std::string_view name, std::string_view prefix) {
  size_t end = prefix.size();
  if (prefix.starts_with(kWildcard)) {
    const std::string_view domain = prefix.substr(1);  // ".example.com"
    const std::string_view host = name.substr(0, name.find_first_of(":/@"));
    if (host.size() <= domain.size() || !host.ends_with(domain)) {
      return 0;
    }
    return host.size();
  }
  if (prefix.empty() || !name.starts_with(prefix)) {
    return 0;
  }
  if (end == name.size() || name[end] == '/') {
    return end;
  }
  const bool names_a_path = prefix.find('/') != std::string_view::npos;
  return names_a_path && (name[end] == ':' || name[end] == '@') ? end : 0;
}

const RegistryEntry* RegistriesConf::Find(std::string_view name) const {
  const RegistryEntry* best = nullptr;
  for (const auto& [prefix, entry] : registries) {
    // Of a wildcard and a host of one length, which comes later in the map, the host counts.
    if (MatchPrefix(name, prefix) > 0 &&
        (best == nullptr || prefix.size() >= best->prefix.size())) {
      best = &entry;
    }
  }
  return best;
}

absl::StatusOr<RegistriesConf> ParseRegistriesConf(std::string_view text, const std::string& file) {
  return Parser(file).Parse(text);
}

void MergeRegistriesConf(RegistriesConf& base, RegistriesConf over) {
  if (over.unqualified_search) {
    base.unqualified_search = std::move(over.unqualified_search);
  }
  if (over.short_name_mode) {
    base.short_name_mode = over.short_name_mode;
  }
  if (over.credential_helpers) {
    base.credential_helpers = std::move(over.credential_helpers);
  }
  for (auto& [prefix, entry] : over.registries) {
    base.registries.insert_or_assign(prefix, std::move(entry));
  }
  for (auto& [name, target] : over.aliases) {
    base.aliases.insert_or_assign(name, std::move(target));
  }
  base.warnings.insert(base.warnings.end(), over.warnings.begin(), over.warnings.end());
}

absl::StatusOr<RegistriesConf> LoadRegistriesConf(const RegistriesPaths& paths) {
  RegistriesConf conf;
  if (!paths.file.empty()) {
    RETURN_IF_ERROR(MergeFile(paths.file, conf));
  }
  if (!paths.directory.empty()) {
    auto names = ListDir(paths.directory);
    if (!names.ok() && !absl::IsNotFound(names.status())) {
      return names.status();
    }
    for (const std::string& name : names.value_or(std::vector<std::string>())) {
      if (name.ends_with(".conf")) {
        RETURN_IF_ERROR(MergeFile(JoinPath(paths.directory, name), conf));
      }
    }
  }
  if (!paths.short_name_aliases.empty()) {
    RETURN_IF_ERROR(MergeFile(paths.short_name_aliases, conf));
  }
  return conf;
}

}  // namespace davit::image
