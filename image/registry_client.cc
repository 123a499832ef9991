// SPDX-License-Identifier: Apache-2.0
#include "image/registry_client.h"

#include <algorithm>

#include "base/json.h"
#include "base/status.h"
#include "base/text.h"
#include "image/auth/login.h"
#include "image/token.h"

namespace davit::image {
namespace {

constexpr int kMaxRedirects = 5;
constexpr int kUnauthorized = 401;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// {"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}, else nothing.
std::string Detail(const HttpResponse& response) {
  const auto root = ParseJson(response.error_body, "error response");
  if (!root.ok()) {
    return "";
  }
  const nlohmann::json& errors = JsonChild(*root, "errors");
  if (!errors.is_array() || errors.empty()) {
    return "";
  }
  const std::string code = JsonString(errors[0], "code");
  const std::string message = JsonString(errors[0], "message");
  const std::string text = code.empty() || message.empty() ? code + message : code + ": " + message;
  return text.empty() ? "" : ": " + Printable(text, 200);
}

}  // namespace

absl::Status StatusOf(const HttpResponse& response, const std::string& host,
                      const std::string& what) {
  const int status = response.status;
  if (status >= 200 && status < 300) {
    return absl::OkStatus();
  }
  const std::string detail = Detail(response);
  if (status == kUnauthorized) {
    return Unauthenticated("{} does not accept the credentials given for {} (401){}", host, what,
                           detail);
  }
  if (status == 403) {
    return PermissionDenied("{} denies access to {} (403){}", host, what, detail);
  }
  if (status == 404) {
    return NotFound("{} has no {} (404){}", host, what, detail);
  }
  if (status == 429) {
    return Unavailable("{} limits the rate of requests (429), asked for {}{}", host, what, detail);
  }
  if (status >= 500 || status == 408) {
    return Unavailable("{} answers {} to {}{}", host, status, what, detail);
  }
  return Unknown("{} answers {} to {}{}", host, status, what, detail);
}

RegistryClient::RegistryClient(Endpoint endpoint, Credentials credentials, RegistryOptions options,
                               std::shared_ptr<HttpPool> pool)
    : endpoint_(std::move(endpoint)),
      credentials_(std::move(credentials)),
      options_(std::move(options)),
      pool_(std::move(pool)),
      authorization_(credentials_.registry_token.empty() ? ""
                                                         : "Bearer " + credentials_.registry_token),
      base_(endpoint_.may_be_plain ? "" : endpoint_.base) {}

std::string RegistryClient::Authorization() {
  absl::MutexLock lock(&mutex_);
  return authorization_;
}

absl::StatusOr<HttpResponse> RegistryClient::Send(Context& ctx, const RegistryRequest& request,
                                                  const BodySink& sink) {
  bool from_endpoint = false;
  const bool anonymous = !request.url.empty();
  const std::string used = anonymous ? "" : Authorization();
  ASSIGN_OR_RETURN(HttpResponse response, Follow(ctx, request, used, sink, from_endpoint));
  if (response.status != kUnauthorized || anonymous || !from_endpoint) {
    return response;
  }
  ASSIGN_OR_RETURN(const std::string authorization, Renew(ctx, response, used));
  if (authorization.empty()) {
    return response;
  }
  return Follow(ctx, request, authorization, sink, from_endpoint);
}

// When a token ends, all that fetch layers see it at once: one of them gets the next.
absl::StatusOr<std::string> RegistryClient::Renew(Context& ctx, const HttpResponse& refused,
                                                  const std::string& used) {
  {
    absl::MutexLock lock(&mutex_);
    while (renewing_) {
      RETURN_IF_ERROR(ctx.Check());
      mutex_.AwaitWithTimeout(absl::Condition(
                                  +[](bool* renewing) { return !*renewing; }, &renewing_),
                              absl::Milliseconds(100));
    }
    if (authorization_ != used) {
      return authorization_;
    }
    renewing_ = true;
  }
  auto fresh = Authorize(ctx, refused);
  absl::MutexLock lock(&mutex_);
  renewing_ = false;
  if (fresh.ok() && !fresh->empty()) {
    authorization_ = *fresh;
  }
  return fresh;
}

// A host that may be either is asked once, in TLS.
absl::StatusOr<std::string> RegistryClient::Base(Context& ctx) {
  {
    absl::MutexLock lock(&mutex_);
    if (!base_.empty()) {
      return base_;
    }
  }
  HttpRequest probe;
  probe.method = "HEAD";
  probe.progress_timeout = options_.progress_timeout;
  probe.tls = endpoint_.tls;
  ASSIGN_OR_RETURN(probe.url, Url::Parse(endpoint_.base + "/v2/"));
  const auto answer = pool_->Run(
      ctx, probe, [](const HttpResponse&, std::span<const uint8_t>) { return absl::OkStatus(); });
  RETURN_IF_ERROR(ctx.Check());
  if (absl::IsFailedPrecondition(answer.status())) {
    return answer.status();  // it speaks TLS: asked without, it could only answer with a riddle
  }
  absl::MutexLock lock(&mutex_);
  base_ =
      answer.ok() ? endpoint_.base : "http" + endpoint_.base.substr(std::string("https").size());
  return base_;
}

absl::StatusOr<std::string> RegistryClient::Start(Context& ctx, const RegistryRequest& request) {
  if (!request.url.empty()) {
    return request.url;
  }
  ASSIGN_OR_RETURN(const std::string base, Base(ctx));
  const std::string query = endpoint_.query.empty() ? "" : "?" + endpoint_.query;
  return base + endpoint_.api + "/" + endpoint_.repository + "/" + request.path + query;
}

absl::StatusOr<TlsPtr> RegistryClient::TlsFor(const Url& url, bool from_endpoint) const {
  if (url.scheme != "https") {
    return TlsPtr();
  }
  return from_endpoint ? absl::StatusOr<TlsPtr>(endpoint_.tls) : options_.tls_of(url.host);
}

absl::StatusOr<HttpResponse> RegistryClient::Follow(Context& ctx, const RegistryRequest& request,
                                                    const std::string& authorization,
                                                    const BodySink& sink, bool& from_endpoint) {
  ASSIGN_OR_RETURN(const std::string start, Start(ctx, request));
  HttpRequest http;
  http.method = request.method;
  http.progress_timeout = options_.progress_timeout;
  http.min_bytes_per_second = options_.min_bytes_per_second;
  ASSIGN_OR_RETURN(http.url, Url::Parse(start));
  const Url first = http.url;
  // Once the request has left the endpoint it stays without credentials, wherever it is led.
  from_endpoint = request.url.empty();
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    http.headers = from_endpoint ? endpoint_.headers : std::vector<std::string>();
    ASSIGN_OR_RETURN(http.tls, TlsFor(http.url, from_endpoint));
    if (!request.accept.empty()) {
      http.headers.push_back("Accept: " + request.accept);
    }
    if (request.offset > 0 || request.end > 0) {
      http.headers.push_back("Range: bytes=" + std::to_string(request.offset) + "-" +
                             (request.end > 0 ? std::to_string(request.end - 1) : ""));
    }
    if (from_endpoint && !authorization.empty()) {
      http.headers.push_back("Authorization: " + authorization);
    }
    ASSIGN_OR_RETURN(HttpResponse response, pool_->Run(ctx, http, sink));
    if (!IsRedirect(response.status)) {
      response.redirected_to = hop > 0 && !from_endpoint ? http.url.text : "";
      return response;
    }
    auto next = http.url.Resolve(response.Header("location"));
    if (!next.ok()) {
      return Unknown("{} redirects to an address that cannot be used: {}", http.url.host,
                     Message(next.status()));
    }
    if (http.url.scheme == "https" && next->scheme == "http") {
      return PermissionDenied("{} redirects from https to plain http at {}", http.url.host,
                              Printable(next->host, 100));
    }
    from_endpoint = from_endpoint && next->SameOrigin(first);
    http.url = *std::move(next);
  }
  return Unknown("{} redirects more than {} times", first.host, kMaxRedirects);
}

// Empty: there is nothing more to try, and the 401 stands.
absl::StatusOr<std::string> RegistryClient::Authorize(Context& ctx, const HttpResponse& refused) {
  if (!credentials_.registry_token.empty()) {
    return std::string();
  }
  const Challenge* basic = nullptr;
  std::vector<Challenge> challenges;
  for (const auto& [name, value] : refused.headers) {
    if (name == "www-authenticate") {
      std::vector<Challenge> more = ParseChallenges(value);
      challenges.insert(challenges.end(), more.begin(), more.end());
    }
  }
  for (const Challenge& challenge : challenges) {
    if (challenge.scheme == "bearer") {
      return BearerToken(ctx, challenge);
    }
    basic = challenge.scheme == "basic" ? &challenge : basic;
  }
  if (basic == nullptr) {
    return std::string();
  }
  ASSIGN_OR_RETURN(const Login login, LoginOf(credentials_));
  if (login.username.empty() && login.password.empty()) {
    return Unauthenticated("{} asks for a user name and password, and none is known for it",
                           endpoint_.host);
  }
  return BasicHeader(login);
}

absl::StatusOr<std::string> RegistryClient::BearerToken(Context& ctx, const Challenge& challenge) {
  const auto parameter = [&challenge](const char* name) {
    const auto it = challenge.parameters.find(name);
    return it == challenge.parameters.end() ? std::string() : it->second;
  };
  auto realm = Url::Parse(parameter("realm"));
  if (!realm.ok()) {
    return Unauthenticated("{} asks for a token from a realm that cannot be used: {}",
                           endpoint_.host, Message(realm.status()));
  }
  ASSIGN_OR_RETURN(const std::string base, Base(ctx));
  const bool plain_endpoint = base.starts_with("http://");
  if (realm->scheme == "http" && !(plain_endpoint && options_.plain_http_allowed(realm->host))) {
    return Unauthenticated(
        "{} asks for a token from {} in plain http: credentials are not sent there, unless it is "
        "listed in image.insecure_registries",
        endpoint_.host, Printable(realm->host, 100));
  }
  TokenRequest request;
  request.realm = *std::move(realm);
  request.service = parameter("service");
  request.scope = parameter("scope");
  if (request.scope.empty()) {
    request.scope = "repository:" + endpoint_.repository + ":pull";
  }
  ASSIGN_OR_RETURN(request.login, LoginOf(credentials_));
  request.identity_token = credentials_.identity_token;
  ASSIGN_OR_RETURN(const Url own, Url::Parse(endpoint_.base));
  ASSIGN_OR_RETURN(request.tls, TlsFor(request.realm, request.realm.SameOrigin(own)));
  request.progress_timeout = options_.progress_timeout;
  ASSIGN_OR_RETURN(const std::string token, FetchToken(ctx, *pool_, request));
  return "Bearer " + token;
}

}  // namespace davit::image
