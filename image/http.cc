// SPDX-License-Identifier: Apache-2.0
#include "image/http.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <string_view>

#include <curl/curl.h>

#include "base/status.h"
#include "base/text.h"
#include "image/loopback.h"
#include "image/proxy.h"

namespace davit::image {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr long kReceiveBuffer = 256L << 10;
constexpr size_t kMaxErrorBody = size_t{16} << 10U;
constexpr size_t kMaxHeaders = size_t{64} << 10U;
constexpr milliseconds kConnectTimeout{30000};
constexpr milliseconds kMaxWait{1000};
constexpr const char* kUserAgent = "davit/" DAVIT_VERSION;

void InitCurl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

// One exchange, as libcurl's callbacks see it.
struct Exchange {
  CURL* easy = nullptr;
  const BodySink* sink = nullptr;
  HttpResponse response;
  absl::Status failure;  // of the sink, or of a limit
  size_t header_bytes = 0;
  bool enough = false;  // of an error's body
  Clock::time_point last_activity = Clock::now();
  uint64_t body_bytes = 0;
  Clock::duration held_up{0};  // by the sink
};

void AddHeader(Exchange& exchange, std::string_view line) {
  const size_t colon = line.find(':');
  if (line.starts_with("HTTP/")) {  // also after "100 Continue" and a proxy's CONNECT
    exchange.response.headers.clear();
  } else if (colon != std::string_view::npos) {
    exchange.response.headers.emplace_back(Lower(Trim(line.substr(0, colon))),
                                           std::string(Trim(line.substr(colon + 1))));
  }
}

size_t OnHeader(char* data, size_t size, size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const size_t bytes = size * count;
  exchange.last_activity = Clock::now();
  exchange.header_bytes += bytes;
  if (exchange.header_bytes > kMaxHeaders) {
    exchange.failure = ResourceExhausted("response headers are over {} bytes", kMaxHeaders);
    return 0;
  }
  AddHeader(exchange, {data, bytes});
  return bytes;
}

size_t OnBody(char* data, size_t size, size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const size_t bytes = size * count;
  if (exchange.response.status == 0) {
    long code = 0;
    curl_easy_getinfo(exchange.easy, CURLINFO_RESPONSE_CODE, &code);
    exchange.response.status = static_cast<int>(code);
  }
  const int status = exchange.response.status;
  if (status < 200 || status > 299) {
    std::string& body = exchange.response.error_body;
    body.append(data, std::min(bytes, kMaxErrorBody - body.size()));
    exchange.enough = body.size() == kMaxErrorBody;
    exchange.last_activity = Clock::now();
    return exchange.enough ? 0 : bytes;
  }
  const Clock::time_point before = Clock::now();
  exchange.failure =
      (*exchange.sink)(exchange.response, std::span(reinterpret_cast<const uint8_t*>(data), bytes));
  // After the sink: while it holds us up, the peer is not to blame.
  exchange.last_activity = Clock::now();
  exchange.held_up += exchange.last_activity - before;
  exchange.body_bytes += bytes;
  return exchange.failure.ok() ? bytes : 0;
}

// Looks at the speed of a transfer once in each window of time.
class SpeedCheck {
 public:
  SpeedCheck(const HttpRequest& request, const Exchange& exchange)
      : request_(request), exchange_(exchange) {}

  absl::Status Check() {
    const Clock::duration window = Clock::now() - started_ - (exchange_.held_up - held_up_before_);
    if (window < request_.progress_timeout) {
      return absl::OkStatus();
    }
    const uint64_t bytes = exchange_.body_bytes - bytes_before_;
    const uint64_t wanted =
        request_.min_bytes_per_second *
        static_cast<uint64_t>(std::chrono::duration_cast<milliseconds>(window).count()) / 1000;
    const auto milliseconds_of_it = std::chrono::duration_cast<milliseconds>(window).count();
    if (bytes == 0 && wanted > 0) {
      return DeadlineExceeded("{} sent no byte of its answer for {} ms", request_.url.host,
                              milliseconds_of_it);
    }
    if (bytes < wanted) {
      return DeadlineExceeded("{} sent {} bytes in {} ms, less than {} a second", request_.url.host,
                              bytes, milliseconds_of_it, request_.min_bytes_per_second);
    }
    started_ = Clock::now();
    held_up_before_ = exchange_.held_up;
    bytes_before_ = exchange_.body_bytes;
    return absl::OkStatus();
  }

 private:
  const HttpRequest& request_;
  const Exchange& exchange_;
  Clock::time_point started_ = Clock::now();
  Clock::duration held_up_before_{0};
  uint64_t bytes_before_ = 0;
};
curl_blob Blob(const std::string& pem) {
  // libcurl keeps a copy of its own: the handle lives longer than the request.
  return {.data = const_cast<char*>(pem.data()), .len = pem.size(), .flags = CURL_BLOB_COPY};
}

void SetTls(CURL* easy, const Tls& tls) {
  if (!tls.ca.empty()) {
    // In place of the system's bundle; its directory of certificates still counts.
    const curl_blob ca = Blob(tls.ca);
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca);
  }
  if (!tls.cert.empty()) {
    const curl_blob cert = Blob(tls.cert);
    const curl_blob key = Blob(tls.key);
    curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &cert);
    curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &key);
  }
  if (tls.skip_verify) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
}

void SetProxy(CURL* easy, const Proxies& proxies, const Url& url) {
  if (IsLoopback(url.host)) {
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");  // no proxy can reach our own loopback
    return;
  }
  const std::string& proxy = url.scheme == "https" ? proxies.https : proxies.http;
  curl_easy_setopt(easy, CURLOPT_PROXY, proxy.c_str());  // "": none, whatever libcurl reads itself
  curl_easy_setopt(easy, CURLOPT_NOPROXY, proxies.none.c_str());
}

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

HeaderList MakeHeaders(const std::vector<std::string>& headers) {
  HeaderList list;
  for (const std::string& header : headers) {
    if (curl_slist* const longer = curl_slist_append(list.get(), header.c_str())) {
      static_cast<void>(list.release());
      list.reset(longer);
    }
  }
  return list;
}

}  // namespace

std::string HttpResponse::Header(const std::string& lower_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_name) {
      return value;
    }
  }
  return "";
}

struct HttpConnection::Impl {
  CURLM* multi = nullptr;
  CURL* easy = nullptr;
  std::array<char, CURL_ERROR_SIZE> error = {};
  const Proxies proxies = Proxies::OfEnvironment();

  Impl() {
    InitCurl();
    multi = curl_multi_init();
    easy = curl_easy_init();
  }
  ~Impl() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void SetOptions(const HttpRequest& request, const HeaderList& headers, Exchange& exchange) {
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, request.url.text.c_str());
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, kUserAgent);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kReceiveBuffer);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
    curl_easy_setopt(
        easy, CURLOPT_CONNECTTIMEOUT_MS,
        static_cast<long>(std::min(kConnectTimeout, request.progress_timeout).count()));
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error.data());
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &OnHeader);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &exchange);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &OnBody);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
    SetProxy(easy, proxies, request.url);
    if (request.tls) {
      SetTls(easy, *request.tls);
    }
    if (request.method == "HEAD") {
      curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (request.method == "POST") {
      curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body.size()));
      curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request.body.c_str());
    }
  }

  // Until the transfer has ended: OK and its result, or the error that ends it from our side.
  absl::StatusOr<CURLcode> Drive(const Context& ctx, const HttpRequest& request,
                                 const Exchange& exchange) {
    SpeedCheck speed(request, exchange);
    while (true) {
      int running = 0;
      if (const CURLMcode code = curl_multi_perform(multi, &running); code != CURLM_OK) {
        return Unavailable("libcurl: {}", curl_multi_strerror(code));
      }
      int left = 0;
      while (const CURLMsg* const message = curl_multi_info_read(multi, &left)) {
        if (message->msg == CURLMSG_DONE) {
          return message->data.result;
        }
      }
      RETURN_IF_ERROR(ctx.Check());
      const auto idle =
          std::chrono::duration_cast<milliseconds>(Clock::now() - exchange.last_activity);
      if (idle >= request.progress_timeout) {
        return DeadlineExceeded("{} sent no byte for {} ms", request.url.host, idle.count());
      }
      RETURN_IF_ERROR(speed.Check());
      Wait(ctx, std::min(kMaxWait, request.progress_timeout - idle + milliseconds(1)));
    }
  }

  void Wait(const Context& ctx, milliseconds longest) {
    curl_waitfd cancel = {.fd = ctx.cancel_fd(), .events = CURL_WAIT_POLLIN, .revents = 0};
    const int until_deadline = ctx.PollTimeoutMs();
    const int timeout = until_deadline < 0
                            ? static_cast<int>(longest.count())
                            : std::min(static_cast<int>(longest.count()), until_deadline);
    curl_multi_poll(multi, &cancel, 1, timeout, nullptr);
  }
};

HttpConnection::HttpConnection() : impl_(std::make_unique<Impl>()) {}
HttpConnection::~HttpConnection() = default;

absl::StatusOr<HttpResponse> HttpConnection::Run(const Context& ctx, const HttpRequest& request,
                                                 const BodySink& sink) {
  if (impl_->easy == nullptr || impl_->multi == nullptr) {
    return ResourceExhausted("libcurl does not start: out of memory");
  }
  RETURN_IF_ERROR(ctx.Check());
  Exchange exchange;
  exchange.easy = impl_->easy;
  exchange.sink = &sink;
  impl_->error[0] = '\0';
  const HeaderList headers = MakeHeaders(request.headers);
  impl_->SetOptions(request, headers, exchange);
  curl_multi_add_handle(impl_->multi, impl_->easy);
  const absl::StatusOr<CURLcode> result = impl_->Drive(ctx, request, exchange);
  long code = 0;
  curl_easy_getinfo(impl_->easy, CURLINFO_RESPONSE_CODE, &code);
  exchange.response.status = static_cast<int>(code);
  curl_multi_remove_handle(impl_->multi, impl_->easy);
  RETURN_IF_ERROR(exchange.failure);
  RETURN_IF_ERROR(result.status());
  if (*result == CURLE_OK || exchange.enough) {
    return std::move(exchange.response);
  }
  std::string detail(Trim(impl_->error.data()));
  detail = detail.empty() ? curl_easy_strerror(*result) : Printable(detail, 200);
  if (*result == CURLE_PEER_FAILED_VERIFICATION) {
    return FailedPrecondition("{}: {}: its CA belongs in certs.d/{}/ca.crt", request.url.host,
                              detail, request.url.host);
  }
  return Unavailable("{}: {}", request.url.host, detail);
}

absl::StatusOr<HttpResponse> HttpPool::Run(const Context& ctx, const HttpRequest& request,
                                           const BodySink& sink) {
  std::unique_ptr<HttpConnection> connection;
  {
    absl::MutexLock lock(&mutex_);
    if (!idle_.empty()) {
      connection = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!connection) {
    connection = std::make_unique<HttpConnection>();
  }
  auto response = connection->Run(ctx, request, sink);
  absl::MutexLock lock(&mutex_);
  idle_.push_back(std::move(connection));
  return response;
}

}  // namespace davit::image
