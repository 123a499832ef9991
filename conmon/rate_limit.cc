// SPDX-License-Identifier: Apache-2.0
#include "conmon/rate_limit.h"

namespace davit::conmon {
namespace {

constexpr uint64_t kMaxRate = uint64_t{1} << 40U;

}  // namespace

void RateLimit::Set(uint64_t bytes_per_second) {
  capacity_ =
      static_cast<int64_t>(bytes_per_second < kMaxRate ? bytes_per_second : kMaxRate) * 1000;
  level_ = capacity_;
}

void RateLimit::Refill(int64_t now_ms) {
  int64_t elapsed = now_ms - filled_ms_;
  filled_ms_ = now_ms;
  while (elapsed > 0 && level_ < capacity_) {
    // By the second at most: the product stays within 64 bits, and a debt is paid in full.
    const int64_t step = elapsed < 1000 ? elapsed : 1000;
    level_ += capacity_ / 1000 * step;
    elapsed -= step;
  }
  level_ = level_ < capacity_ ? level_ : capacity_;
  recovering_ = recovering_ && level_ < capacity_ / 4;
}

bool RateLimit::Ready(int64_t now_ms) {
  if (capacity_ == 0) {
    return true;
  }
  Refill(now_ms);
  return level_ > 0 && !recovering_;
}

bool RateLimit::Take(size_t bytes, int64_t now_ms) {
  if (!Ready(now_ms)) {
    recovering_ = true;
    return false;
  }
  level_ -= capacity_ > 0 ? static_cast<int64_t>(bytes) * 1000 : 0;
  return true;
}

}  // namespace davit::conmon
