// SPDX-License-Identifier: Apache-2.0
#include "image/signature/registries_d.h"

#include <yaml-cpp/yaml.h>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "image/policy/scope.h"

namespace davit::image {
namespace {

constexpr size_t kMaxFiles = 1000;
constexpr size_t kMaxFileBytes = size_t{1} << 20U;
constexpr int kMaxDepth = 8;

// yaml-cpp builds what it reads by recursion, and these files are three levels deep.
bool IsTooDeep(const YAML::Node& node, int depth) {
  if (depth > kMaxDepth) {
    return true;
  }
  if (node.IsMap()) {
    for (const auto& item : node) {
      if (IsTooDeep(item.second, depth + 1)) {
        return true;
      }
    }
  }
  return false;
}

bool IsLocation(const std::string& url) {
  return url.starts_with("http://") || url.starts_with("https://") || url.starts_with("file:///");
}

}  // namespace

// Adds one file after another.
class RegistriesDParser {
 public:
  explicit RegistriesDParser(RegistriesD& into) : into_(into) {}

  absl::Status Add(const YAML::Node& root) {
    if (root.IsNull()) {
      return absl::OkStatus();
    }
    if (!root.IsMap() || IsTooDeep(root, 0)) {
      return InvalidArgument("it is not a mapping of default-docker and docker");
    }
    for (const auto& item : root) {
      const auto key = item.first.as<std::string>();
      if (key == "default-docker") {
        RETURN_IF_ERROR(AddSection("", item.second));
      } else if (key == "docker") {
        RETURN_IF_ERROR(AddScopes(item.second));
      } else {
        return InvalidArgument("unknown key \"{}\" (known: default-docker, docker)",
                               Printable(key));
      }
    }
    return absl::OkStatus();
  }

 private:
  absl::Status AddScopes(const YAML::Node& scopes) {
    if (!scopes.IsNull() && !scopes.IsMap()) {
      return InvalidArgument("docker is not a mapping of scopes");
    }
    for (const auto& item : scopes) {
      const auto scope = item.first.as<std::string>();
      if (scope.empty()) {
        return InvalidArgument("docker has an empty scope; default-docker is for all registries");
      }
      RETURN_IF_ERROR(AddSection(scope, item.second));
    }
    return absl::OkStatus();
  }

  absl::Status AddSection(const std::string& scope, const YAML::Node& node) {
    const std::string where = scope.empty() ? "default-docker" : Printable(scope);
    if (!node.IsNull() && !node.IsMap()) {
      return InvalidArgument("{} is not a mapping", where);
    }
    RegistriesD::Section section;
    std::string old_lookaside;
    for (const auto& item : node) {
      const auto key = item.first.as<std::string>();
      if (key == "lookaside" || key == "sigstore") {
        auto& url = key == "lookaside" ? section.lookaside : old_lookaside;
        url = item.second.as<std::string>();
        if (!IsLocation(url)) {
          return InvalidArgument("{}: {} must be a http://, https:// or file:/// URL, not '{}'",
                                 where, key, Printable(url));
        }
      } else if (key == "use-sigstore-attachments") {
        section.attachments = item.second.as<bool>();
      } else if (key != "lookaside-staging" && key != "sigstore-staging") {
        return InvalidArgument(
            "{} has the unknown key \"{}\" (known: lookaside, lookaside-staging, "
            "use-sigstore-attachments)",
            where, Printable(key));
      }
    }
    if (section.lookaside.empty()) {
      section.lookaside = old_lookaside;
    }
    if (!into_.scopes_.emplace(scope, section).second) {
      return InvalidArgument("{} is there a second time; all files together may have it once",
                             where);
    }
    return absl::OkStatus();
  }

  RegistriesD& into_;
};

absl::StatusOr<RegistriesD> RegistriesD::Load(const std::string& directory) {
  RegistriesD result;
  auto names = ListDir(directory);
  if (absl::IsNotFound(names.status())) {
    return result;
  }
  RETURN_IF_ERROR(names.status());
  if (names->size() > kMaxFiles) {
    return InvalidArgument("{} holds {} files, at most {} are read", directory, names->size(),
                           kMaxFiles);
  }
  for (const std::string& name : *names) {
    if (!name.ends_with(".yaml")) {
      continue;
    }
    const std::string path = JoinPath(directory, name);
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
    try {
      RETURN_IF_ERROR(Annotate(RegistriesDParser(result).Add(YAML::Load(text)), "parse " + path));
    } catch (const YAML::Exception& error) {
      return InvalidArgument("parse {}: line {}: {}", path, error.mark.line + 1, error.msg);
    }
  }
  return result;
}

SignatureLocations RegistriesD::For(const Reference& reference) const {
  std::vector<std::string> scopes = ScopesOf(reference);
  scopes.emplace_back();
  SignatureLocations locations;
  bool said = false;
  for (const std::string& scope : scopes) {
    const auto it = scopes_.find(scope);
    if (it == scopes_.end()) {
      continue;
    }
    if (locations.lookaside.empty()) {
      locations.lookaside = it->second.lookaside;
    }
    if (!said && it->second.attachments) {
      locations.attachments = *it->second.attachments;
      said = true;
    }
  }
  if (locations.lookaside.empty()) {
    locations.lookaside = kDefaultLookaside;
  }
  return locations;
}

}  // namespace davit::image
