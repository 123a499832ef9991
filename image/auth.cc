// SPDX-License-Identifier: Apache-2.0
#include "image/auth.h"

#include <string_view>

#include "absl/strings/escaping.h"

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"

namespace davit::image {
namespace {

constexpr size_t kMaxAuthFile = size_t{1} << 20U;

// Keys come as "host", "host/path", "https://host/v1/".
std::string NormalKey(std::string_view key) {
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

Credentials FromEntry(const nlohmann::json& entry) {
  return {.username = JsonString(entry, "username"),
          .password = JsonString(entry, "password"),
          .auth = JsonString(entry, "auth"),
          .identity_token = JsonString(entry, "identitytoken"),
          .registry_token = JsonString(entry, "registrytoken")};
}

}  // namespace

bool Credentials::empty() const {
  return username.empty() && password.empty() && auth.empty() && identity_token.empty() &&
         registry_token.empty();
}

absl::StatusOr<Login> LoginOf(const Credentials& credentials) {
  if (!credentials.username.empty() || credentials.auth.empty()) {
    return Login{.username = credentials.username, .password = credentials.password};
  }
  std::string text;
  if (!absl::Base64Unescape(credentials.auth, &text)) {
    return InvalidArgument("credentials: auth is not base64 of 'user:password'");
  }
  const size_t colon = text.find(':');
  if (colon == std::string::npos) {
    return InvalidArgument("credentials: auth is not base64 of 'user:password'");
  }
  // Some writers pad with zero bytes.
  text.erase(text.find_last_not_of('\0') + 1);
  return Login{.username = text.substr(0, colon),
               .password = colon + 1 <= text.size() ? text.substr(colon + 1) : ""};
}

std::string BasicHeader(const Login& login) {
  return "Basic " + absl::Base64Escape(login.username + ":" + login.password);
}

std::string Fingerprint(const Credentials& credentials) {
  if (credentials.empty()) {
    return "";
  }
  // Lengths keep fields apart whatever bytes they hold.
  std::string all;
  for (const std::string* field :
       {&credentials.username, &credentials.password, &credentials.auth,
        &credentials.identity_token, &credentials.registry_token, &credentials.server_address}) {
    all += std::to_string(field->size()) + ":" + *field;
  }
  return Digest::Sha256Of(all).hex();
}

absl::StatusOr<Credentials> FromAuthFile(const std::string& file, const std::string& domain,
                                         const std::string& path) {
  if (file.empty()) {
    return Credentials();
  }
  auto text = ReadFile(file, kMaxAuthFile);
  if (absl::IsNotFound(text.status())) {
    return Credentials();  // logged out: the tools remove the file
  }
  if (!text.ok()) {
    return WithCode(absl::StatusCode::kFailedPrecondition,
                    Annotate(text.status(), "auth file (image.auth_file)"));
  }
  auto root = ParseJson(*text, "auth file " + file, kMaxAuthFile);
  if (!root.ok()) {
    return WithCode(absl::StatusCode::kFailedPrecondition, root.status());
  }
  const nlohmann::json& auths = JsonChild(*root, "auths");
  if (!auths.is_object()) {
    return FailedPrecondition("auth file {}: auths is not an object", file);
  }
  const std::string wanted = domain + "/" + path;
  Credentials best;
  size_t best_length = 0;
  for (const auto& [key, entry] : auths.items()) {
    const std::string normal = NormalKey(key);
    const bool fits = wanted == normal || wanted.starts_with(normal + "/");
    Credentials found = FromEntry(entry);
    if (fits && normal.size() > best_length && !found.empty()) {
      best = std::move(found);
      best_length = normal.size();
    }
  }
  return best;
}

}  // namespace davit::image
