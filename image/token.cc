// SPDX-License-Identifier: Apache-2.0
#include "image/token.h"

#include <algorithm>

#include "base/json.h"
#include "base/status.h"
#include "image/registry_client.h"

namespace davit::image {
namespace {

constexpr size_t kMaxAnswer = size_t{256} << 10U;

absl::StatusOr<HttpRequest> MakeRequest(const TokenRequest& request) {
  HttpRequest http;
  http.progress_timeout = request.progress_timeout;
  http.tls = request.tls;
  const std::string query =
      "service=" + PercentEncode(request.service) + "&scope=" + PercentEncode(request.scope);
  if (!request.identity_token.empty()) {
    http.method = "POST";
    http.url = request.realm;
    http.headers.emplace_back("Content-Type: application/x-www-form-urlencoded");
    http.body = "grant_type=refresh_token&client_id=davit&" + query +
                "&refresh_token=" + PercentEncode(request.identity_token);
    return http;
  }
  const std::string& realm = request.realm.text;
  const char* const joint = realm.find('?') == std::string::npos ? "?" : "&";
  ASSIGN_OR_RETURN(http.url, Url::Parse(realm + joint + query));
  if (!request.login.username.empty() || !request.login.password.empty()) {
    http.headers.push_back("Authorization: " + BasicHeader(request.login));
  }
  return http;
}

}  // namespace

bool IsHeaderSafe(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

absl::StatusOr<std::string> FetchToken(Context& ctx, HttpPool& pool, const TokenRequest& request) {
  ASSIGN_OR_RETURN(const HttpRequest http, MakeRequest(request));
  std::string body;
  const BodySink sink = [&body](const HttpResponse&, std::span<const uint8_t> bytes) {
    if (body.size() + bytes.size() > kMaxAnswer) {
      return ResourceExhausted("answer of the token service is over {} bytes", kMaxAnswer);
    }
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return absl::OkStatus();
  };
  ASSIGN_OR_RETURN(const HttpResponse response, pool.Run(ctx, http, sink));
  const std::string& host = request.realm.host;
  if (response.status == 400 || response.status == 401 || response.status == 403) {
    return Unauthenticated("token service {} refuses the credentials ({})", host, response.status);
  }
  RETURN_IF_ERROR(StatusOf(response, host, "token"));
  auto root = ParseJson(body, "answer of token service " + host, kMaxAnswer);
  if (!root.ok()) {
    return WithCode(absl::StatusCode::kUnauthenticated, root.status());
  }
  std::string token = JsonString(*root, "token");
  if (token.empty()) {
    token = JsonString(*root, "access_token");
  }
  if (token.empty() || !IsHeaderSafe(token)) {
    return Unauthenticated("token service {} gives no usable token", host);
  }
  return token;
}

}  // namespace davit::image
