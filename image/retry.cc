// SPDX-License-Identifier: Apache-2.0
#include "image/retry.h"

#include <algorithm>
#include <ctime>
#include <random>

#include <curl/curl.h>

#include "base/poll.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::image {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{200};
constexpr milliseconds kLongestPause{10000};

}  // namespace

milliseconds RetryAfter(const HttpResponse& response) {
  constexpr int64_t kMost = int64_t{1} << 31U;
  const std::string text = response.Header("retry-after");
  if (const auto seconds = ParseUint(text)) {
    return milliseconds(std::min<uint64_t>(*seconds, kMost) * 1000);
  }
  const time_t date = text.empty() ? -1 : curl_getdate(text.c_str(), nullptr);
  const int64_t seconds = date < 0 ? 0 : static_cast<int64_t>(date) - time(nullptr);
  return milliseconds(std::clamp<int64_t>(seconds, 0, kMost) * 1000);
}

absl::Status PauseBeforeRetry(Context& ctx, const absl::Status& failure, int failures,
                              milliseconds wanted) {
  if (wanted > kLongestWanted) {
    return absl::Status(failure.code(), fmt::format("{}; it asks to come back in {} s",
                                                    Message(failure), wanted.count() / 1000));
  }
  thread_local std::minstd_rand random{std::random_device{}()};
  const milliseconds base = kFirstPause * (1 << std::clamp(failures - 1, 0, 6));
  std::uniform_int_distribution<int64_t> jitter(base.count() / 2, base.count());
  // A wanted pause has chance in it too, or all that were told the same come back together.
  const milliseconds own = std::min(milliseconds(jitter(random)), kLongestPause);
  const milliseconds pause = wanted > own ? wanted + own / 2 : own;
  Context wait(ctx, pause);
  while (wait.Check().ok()) {
    RETURN_IF_ERROR(PollWith(wait, {}));
  }
  return ctx.Check();
}

bool IsTransient(const absl::Status& status) {
  return absl::IsUnavailable(status);
}

}  // namespace davit::image
