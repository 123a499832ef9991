// SPDX-License-Identifier: Apache-2.0
//
// containers-registries.conf(5), version 2, and its drop-ins (containers-registries.conf.d(5)):
// which registries short names are looked for in, and where the images of a registry come from.
// Plain values, immutable once loaded.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace davit::image {

enum class ShortNameMode {
  kEnforcing,   // a short name that several registries could have is an error
  kPermissive,  // the registries are tried in order: nobody can be asked
  kDisabled,    // the same
};

struct RegistryMirror {
  enum class Use { kAll, kDigestOnly, kTagOnly };
  std::string location;  // host[:port][/path]
  bool insecure = false;
  Use use = Use::kAll;
  bool operator==(const RegistryMirror&) const = default;
};

// One [[registry]].
struct RegistryEntry {
  std::string prefix;    // host[:port][/path[:tag|@digest]], or "*.example.com"
  std::string location;  // what the prefix is replaced with; "" with a wildcard: nothing is
  bool insecure = false;
  bool blocked = false;
  std::vector<RegistryMirror> mirrors;
  std::string origin;  // "FILE:LINE", for messages
  bool operator==(const RegistryEntry&) const = default;
};

struct RegistriesConf {
  std::optional<std::vector<std::string>> unqualified_search;
  std::optional<ShortNameMode> short_name_mode;
  std::optional<std::vector<std::string>> credential_helpers;
  std::map<std::string, RegistryEntry> registries;  // by prefix
  std::map<std::string, std::string> aliases;       // "" takes an alias away
  std::vector<std::string> warnings;                // what was ignored, "FILE:LINE: …"

  bool operator==(const RegistriesConf&) const = default;
  // The entry with the longest prefix of `name` (domain/path with :tag or @digest), or null.
  [[nodiscard]] const RegistryEntry* Find(std::string_view name) const;
};

// How much of `name` is the prefix's: the part that a location replaces. 0: it does not fit. A
// prefix ends where a component of the name does; that of a host does not take another port.
[[nodiscard]] size_t MatchPrefix(std::string_view name, std::string_view prefix);

// InvalidArgument: "FILE:LINE: what is wrong".
absl::StatusOr<RegistriesConf> ParseRegistriesConf(std::string_view text, const std::string& file);

// What `over` says counts more: lists are replaced, [[registry]] tables by prefix, aliases by name.
void MergeRegistriesConf(RegistriesConf& base, RegistriesConf over);

struct RegistriesPaths {
  std::string file;                // "" or missing: nothing
  std::string directory;           // its *.conf in the order of their names, over `file`
  std::string short_name_aliases;  // [aliases] that were chosen on this node, over both
};
absl::StatusOr<RegistriesConf> LoadRegistriesConf(const RegistriesPaths& paths);

}  // namespace davit::image
