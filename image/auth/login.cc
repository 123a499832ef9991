// SPDX-License-Identifier: Apache-2.0
#include "image/auth/login.h"

#include "absl/strings/escaping.h"

#include "base/digest.h"
#include "base/status.h"

namespace davit::image {

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

}  // namespace davit::image
