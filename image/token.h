// SPDX-License-Identifier: Apache-2.0
//
// Bearer tokens by the distribution project's token protocol: GET with Basic, or POST with an
// OAuth2 refresh token.
#pragma once

#include <chrono>
#include <string>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "image/auth/login.h"
#include "image/http.h"
#include "image/url.h"

namespace davit::image {

struct TokenRequest {
  Url realm;
  std::string service;
  std::string scope;
  Login login;                 // both empty: anonymous
  std::string identity_token;  // instead of the login
  TlsPtr tls;                  // of the realm's host
  std::chrono::milliseconds progress_timeout{60000};
};

// Unauthenticated if the realm refuses; Unavailable if it is down.
absl::StatusOr<std::string> FetchToken(Context& ctx, HttpPool& pool, const TokenRequest& request);

// Whether `text` can stand in a header.
[[nodiscard]] bool IsHeaderSafe(const std::string& text);

}  // namespace davit::image
