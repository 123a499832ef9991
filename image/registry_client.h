// SPDX-License-Identifier: Apache-2.0
//
// Requests to one endpoint for one repository, with its authorization: anonymous first, then what
// the endpoint's own 401 asks for (Basic, or a bearer token fetched from its realm). Redirects are
// followed, the authorization never to another scheme, host or port, and a 401 from elsewhere is
// never answered. The same holds for the headers and the client certificate that are configured for
// an endpoint. Thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "base/context.h"
#include "image/challenge.h"
#include "image/http.h"
#include "image/puller.h"
#include "image/registries/endpoints.h"

namespace davit::image {

struct RegistryRequest {
  std::string method = "GET";
  std::string path = {};  // below the repository: "manifests/latest"
  std::string url = {};  // instead of `path`: a URL of an image's author, asked without credentials
  std::string accept = {};
  uint64_t offset = 0;  // asks for the bytes from there on,
  uint64_t end = 0;     // up to the one before that; 0: to the last
};

struct RegistryOptions {
  std::chrono::milliseconds progress_timeout{60000};
  uint64_t min_bytes_per_second = 0;  // over a progress_timeout; 0: any
  // Whether credentials may go to this host in plain HTTP.
  std::function<bool(const std::string& host)> plain_http_allowed;
  // The TLS of hosts that the endpoint leads to: of its realm, or by a redirect. The endpoint's own
  // client certificate is for the endpoint alone.
  std::function<absl::StatusOr<TlsPtr>(const std::string& host)> tls_of;
};

class RegistryClient {
 public:
  // The pool is shared with the pull's other clients.
  RegistryClient(Endpoint endpoint, Credentials credentials, RegistryOptions options,
                 std::shared_ptr<HttpPool> pool);

  // The final response, whatever its status.
  absl::StatusOr<HttpResponse> Send(Context& ctx, const RegistryRequest& request,
                                    const BodySink& sink);

  [[nodiscard]] const Endpoint& endpoint() const { return endpoint_; }

 private:
  absl::StatusOr<HttpResponse> Follow(Context& ctx, const RegistryRequest& request,
                                      const std::string& authorization, const BodySink& sink,
                                      bool& from_endpoint);
  absl::StatusOr<std::string> Start(Context& ctx, const RegistryRequest& request);
  absl::StatusOr<std::string> Base(Context& ctx);
  absl::StatusOr<TlsPtr> TlsFor(const Url& url, bool from_endpoint) const;
  absl::StatusOr<std::string> Renew(Context& ctx, const HttpResponse& refused,
                                    const std::string& used);
  absl::StatusOr<std::string> Authorize(Context& ctx, const HttpResponse& refused);
  absl::StatusOr<std::string> BearerToken(Context& ctx, const Challenge& challenge);
  std::string Authorization();

  const Endpoint endpoint_;
  const Credentials credentials_;
  const RegistryOptions options_;
  const std::shared_ptr<HttpPool> pool_;
  absl::Mutex mutex_;
  std::string authorization_ ABSL_GUARDED_BY(mutex_);  // what worked last
  bool renewing_ ABSL_GUARDED_BY(mutex_) = false;      // one request asks, the others wait for it
  std::string base_ ABSL_GUARDED_BY(mutex_);           // "" until it is known whether TLS is spoken
};

// OK for 2xx; else the error that fits, naming the host, `what` and the registry's own words.
absl::Status StatusOf(const HttpResponse& response, const std::string& host,
                      const std::string& what);

}  // namespace davit::image
