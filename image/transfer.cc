// SPDX-License-Identifier: Apache-2.0
#include "image/transfer.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "image/retry.h"

namespace davit::image {
namespace {

using std::chrono::milliseconds;

// However well each request goes: a few, and one for every so many bytes.
constexpr uint64_t kMinRequests = 100;
constexpr uint64_t kBytesOfARequest = uint64_t{16} << 20U;
// A request that brings less than this has not helped: a server that drips is given up.
constexpr uint64_t kWorthwhile = uint64_t{64} << 10U;

// Of the body that a 200 or 206 has to have; nothing where a 206 does not say it.
std::optional<uint64_t> WantedLength(const HttpResponse& response, uint64_t whole) {
  if (response.status != 206) {
    return whole;
  }
  const std::string range = response.Header("content-range");  // "bytes 0-499/1234"
  const size_t dash = range.find('-');
  const size_t space = range.find(' ');
  if (dash == std::string::npos || space >= dash) {
    return std::nullopt;
  }
  const auto first = ParseUint(range.substr(space + 1, dash - space - 1));
  const auto last = ParseUint(range.substr(dash + 1, range.find('/') - dash - 1));
  return first && last && *last >= *first ? std::optional(*last - *first + 1) : std::nullopt;
}

// The part of the transfer that one request is for.
class Attempt {
 public:
  Attempt(Transfer& transfer, const std::string& host)
      : transfer_(transfer), host_(host), offset_(transfer.done), skip_(transfer.done) {}

  absl::Status Take(const HttpResponse& response, std::span<const uint8_t> bytes) {
    if (!std::exchange(started_, true)) {
      RETURN_IF_ERROR(Start(response));
    }
    const size_t known = static_cast<size_t>(std::min<uint64_t>(skip_, bytes.size()));
    skip_ -= known;
    bytes = bytes.subspan(known);
    if (bytes.size() > transfer_.end - transfer_.done) {
      transfer_.final = true;
      return TooMuch();
    }
    const absl::Status status = bytes.empty() ? absl::OkStatus() : transfer_.sink(bytes);
    transfer_.final = !status.ok();
    transfer_.done += status.ok() ? bytes.size() : 0;
    return status;
  }

 private:
  absl::Status Start(const HttpResponse& response) {
    if (response.status == 206) {
      if (!response.Header("content-range").starts_with("bytes " + std::to_string(offset_) + "-")) {
        return Unknown("{} answers with another range than was asked for", host_);
      }
      skip_ = 0;
    } else if (transfer_.only_ranges) {
      transfer_.ranges_refused = true;
      return FailedPrecondition("{} answers {} to a request for a range", host_, response.status);
    }
    return CheckLength(response);
  }

  // Behind a body that is longer than was announced, the rest of it would be read as the next
  // answer. A failure here closes the connection.
  [[nodiscard]] absl::Status CheckLength(const HttpResponse& response) const {
    const auto length = ParseUint(response.Header("content-length"));
    const auto wanted = WantedLength(response, transfer_.blob.size);
    if (length && wanted && *length < *wanted) {
      return DataLoss("{} announces {} bytes where blob {} has {}", host_, *length,
                      transfer_.blob.digest.text(), *wanted);
    }
    return absl::OkStatus();
  }

  [[nodiscard]] absl::Status TooMuch() const {
    if (transfer_.end == transfer_.blob.size) {
      return DataLoss("{} sends more than the {} bytes of blob {}", host_, transfer_.blob.size,
                      transfer_.blob.digest.text());
    }
    return DataLoss("{} sends more than the range of blob {} it was asked for", host_,
                    transfer_.blob.digest.text());
  }

  Transfer& transfer_;
  const std::string& host_;
  const uint64_t offset_;
  uint64_t skip_;
  bool started_ = false;
};

RegistryRequest RequestFor(const Transfer& transfer) {
  RegistryRequest request = {
      .path = transfer.path, .url = transfer.url, .accept = "*/*", .offset = transfer.done};
  if (transfer.only_ranges) {
    request.end = transfer.end;
  }
  if (transfer.direct != nullptr && request.url.empty()) {
    request.url = transfer.direct->Get();
  }
  return request;
}

// Of what a server may say that has the blob, but not in parts.
bool RefusesRange(int status) {
  const bool about_something_else =
      status == 401 || status == 404 || status == 408 || status == 429;
  return (status >= 400 && status < 500 && !about_something_else) || status == 501;
}

absl::Status TransferOnce(Context& ctx, RegistryClient& client, Transfer& transfer) {
  const std::string& host = client.endpoint().host;
  Attempt attempt(transfer, host);
  const RegistryRequest request = RequestFor(transfer);
  transfer.cut_short = false;
  transfer.wanted_pause = milliseconds(0);
  auto response = client.Send(
      ctx, request, [&attempt](const HttpResponse& answer, std::span<const uint8_t> bytes) {
        return attempt.Take(answer, bytes);
      });
  const bool direct = request.url != transfer.url;
  if (direct && (!response.ok() || response->status > 299)) {
    transfer.direct->Forget(request.url);
    if (response.ok()) {  // it has expired: the registry knows a new one
      return TransferOnce(ctx, client, transfer);
    }
  }
  RETURN_IF_ERROR(response.status());
  if (transfer.direct != nullptr && !direct && !response->redirected_to.empty()) {
    transfer.direct->Set(response->redirected_to);
  }
  transfer.wanted_pause = RetryAfter(*response);
  transfer.ranges_refused = transfer.only_ranges && RefusesRange(response->status);
  if (response->status != 416) {
    RETURN_IF_ERROR(StatusOf(*response, host, transfer.path));
  }
  if (transfer.done < transfer.end) {
    transfer.cut_short = true;
    return DataLoss("{}: blob {} ends after {} of {} bytes", host, transfer.blob.digest.text(),
                    transfer.done, transfer.end);
  }
  return absl::OkStatus();
}

bool WorthAnother(const absl::Status& status, const Transfer& transfer, bool advanced) {
  return IsTransient(status) ||
         (advanced && (absl::IsDeadlineExceeded(status) || transfer.cut_short));
}

}  // namespace

std::string DirectUrl::Get() const {
  absl::MutexLock lock(&mutex_);
  return url_;
}

void DirectUrl::Set(std::string url) {
  absl::MutexLock lock(&mutex_);
  url_ = std::move(url);
}

void DirectUrl::Forget(const std::string& url) {
  absl::MutexLock lock(&mutex_);
  if (url_ == url) {
    url_.clear();
  }
}

absl::Status RunTransfer(Context& ctx, RegistryClient& client, Transfer& transfer) {
  int failures = 0;
  absl::Status status;
  for (uint64_t i = 0; i < kMinRequests + transfer.blob.size / kBytesOfARequest; ++i) {
    if (transfer.done == transfer.end && transfer.end > 0) {
      return absl::OkStatus();
    }
    const uint64_t before = transfer.done;
    status = TransferOnce(ctx, client, transfer);
    if (status.ok() || transfer.final || transfer.ranges_refused) {
      return status;
    }
    RETURN_IF_ERROR(ctx.Check());
    const bool advanced = transfer.done - before >= kWorthwhile;
    failures = advanced ? 1 : failures + 1;
    if (!WorthAnother(status, transfer, transfer.done > before) || failures >= kAttempts) {
      return status;
    }
    RETURN_IF_ERROR(PauseBeforeRetry(ctx, status, failures, transfer.wanted_pause));
  }
  return status;
}

}  // namespace davit::image
