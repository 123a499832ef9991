// SPDX-License-Identifier: Apache-2.0
//
// One HTTP exchange over libcurl, which is set up at the first one: a daemon that pulls nothing
// pays nothing. Redirects and 401 are given back, never followed here: who may see credentials is
// decided above. A transfer ends at once when its Context ends, and after `progress_timeout`
// without a byte or one of hardly any.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "base/context.h"
#include "image/tls.h"
#include "image/url.h"

namespace davit::image {

struct HttpRequest {
  std::string method = "GET";  // GET, HEAD or POST
  Url url;
  std::vector<std::string> headers;  // "Name: value"
  std::string body;                  // of a POST
  TlsPtr tls;                        // null: the system's
  std::chrono::milliseconds progress_timeout{60000};
  uint64_t min_bytes_per_second = 0;  // over a progress_timeout, our own pauses not counted
};

struct HttpResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string error_body;     // the start of the body if the status is not 2xx
  std::string redirected_to;  // the address on another host that answered; "" without a redirect

  // The first of this name; "" if there is none.
  [[nodiscard]] std::string Header(const std::string& lower_name) const;
};

// Gets each portion of the body of a 2xx response; an error ends the transfer and is its result.
using BodySink = std::function<absl::Status(const HttpResponse&, std::span<const uint8_t>)>;

// Keeps its connections for the next exchange. Not thread-safe.
class HttpConnection {
 public:
  HttpConnection();
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // Any status is a response. Errors: Unavailable (no connection, broken transfer),
  // DeadlineExceeded (no progress), FailedPrecondition (a certificate that is not trusted), the
  // context's, the sink's.
  absl::StatusOr<HttpResponse> Run(const Context& ctx, const HttpRequest& request,
                                   const BodySink& sink);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Connections that are not in use, for one pull. Thread-safe.
class HttpPool {
 public:
  absl::StatusOr<HttpResponse> Run(const Context& ctx, const HttpRequest& request,
                                   const BodySink& sink);

 private:
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<HttpConnection>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit::image
