// SPDX-License-Identifier: Apache-2.0
#include "image/retry.h"

#include <algorithm>
#include <random>

#include "base/poll.h"
#include "base/status.h"

namespace davit::image {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{200};
constexpr milliseconds kLongestPause{10000};

}  // namespace

absl::Status PauseBeforeRetry(Context& ctx, int failures, milliseconds wanted) {
  thread_local std::minstd_rand random{std::random_device{}()};
  const milliseconds base = kFirstPause * (1 << std::clamp(failures - 1, 0, 6));
  std::uniform_int_distribution<int64_t> jitter(base.count() / 2, base.count());
  const milliseconds pause =
      std::min(std::max(milliseconds(jitter(random)), wanted), kLongestPause);
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
