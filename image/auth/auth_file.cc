// SPDX-License-Identifier: Apache-2.0
#include "image/auth/auth_file.h"

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"

namespace davit::image {
namespace {

constexpr size_t kMaxAuthFile = size_t{1} << 20U;

Credentials FromEntry(const nlohmann::json& entry) {
  return {.username = JsonString(entry, "username"),
          .password = JsonString(entry, "password"),
          .auth = JsonString(entry, "auth"),
          .identity_token = JsonString(entry, "identitytoken"),
          .registry_token = JsonString(entry, "registrytoken")};
}

bool Covers(const std::string& key, std::string_view name) {
  return !key.empty() && name.starts_with(key) &&
         (name.size() == key.size() || name[key.size()] == '/');
}

// The value of the longest key that covers `name`.
template <typename Value>
const Value* Longest(const std::map<std::string, Value>& map, std::string_view name) {
  const Value* best = nullptr;
  size_t length = 0;
  for (const auto& [key, value] : map) {
    if (Covers(key, name) && key.size() > length) {
      best = &value;
      length = key.size();
    }
  }
  return best;
}

}  // namespace

std::string NormalAuthKey(std::string_view key) {
  if (const size_t scheme = key.find("://"); scheme != std::string_view::npos) {
    key.remove_prefix(scheme + 3);
  }
  while (key.ends_with('/')) {
    key.remove_suffix(1);
  }
  for (const std::string_view version : {"/v1", "/v2"}) {
    if (key.ends_with(version)) {
      key.remove_suffix(version.size());
    }
  }
  for (const std::string_view alias : {"index.docker.io", "registry-1.docker.io"}) {
    if (key == alias || (key.starts_with(alias) && key[alias.size()] == '/')) {
      return "docker.io" + std::string(key.substr(alias.size()));
    }
  }
  return std::string(key);
}

Credentials AuthFile::Find(std::string_view name) const {
  const Credentials* const found = Longest(auths, name);
  return found == nullptr ? Credentials() : *found;
}

std::string AuthFile::HelperFor(std::string_view name) const {
  const std::string* const found = Longest(helpers, name);
  return found == nullptr ? store : *found;
}

absl::StatusOr<AuthFile> ParseAuthFile(std::string_view text, const std::string& file) {
  auto root = ParseJson(text, "auth file " + file, kMaxAuthFile);
  if (!root.ok()) {
    return WithCode(absl::StatusCode::kFailedPrecondition, root.status());
  }
  if (!root->is_object()) {
    return FailedPrecondition("auth file {}: it is not a JSON object", file);
  }
  AuthFile parsed;
  const nlohmann::json& auths = JsonChild(*root, "auths");
  const nlohmann::json& helpers = JsonChild(*root, "credHelpers");
  for (const auto& [child, name] : {std::pair(&auths, "auths"), {&helpers, "credHelpers"}}) {
    if (!child->is_object()) {
      return FailedPrecondition("auth file {}: {} is not an object", file, name);
    }
  }
  for (const auto& [key, entry] : auths.items()) {
    Credentials found = FromEntry(entry);
    if (!found.empty()) {  // an empty entry stands for the store
      parsed.auths.insert_or_assign(NormalAuthKey(key), std::move(found));
    }
  }
  for (const auto& [key, entry] : helpers.items()) {
    if (!entry.is_string()) {
      return FailedPrecondition("auth file {}: credHelpers names a helper that is not a string",
                                file);
    }
    parsed.helpers.insert_or_assign(NormalAuthKey(key), entry.get<std::string>());
  }
  parsed.store = JsonString(*root, "credsStore");
  return parsed;
}

absl::StatusOr<AuthFile> ReadAuthFile(const std::string& file) {
  if (file.empty()) {
    return AuthFile();
  }
  auto text = ReadFile(file, kMaxAuthFile);
  if (absl::IsNotFound(text.status())) {
    return AuthFile();
  }
  if (!text.ok()) {
    return WithCode(absl::StatusCode::kFailedPrecondition, Annotate(text.status(), "auth file"));
  }
  return ParseAuthFile(*text, file);
}

}  // namespace davit::image
