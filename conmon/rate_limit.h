// SPDX-License-Identifier: Apache-2.0
//
// How many bytes a second one container may log: a token bucket that holds one second's worth. Once
// empty it gives nothing until a quarter is back, so that losses come in few long runs, each told
// once, and not at every other line. A pure function of the times it is given.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace davit::conmon {

class RateLimit {
 public:
  // 0: no limit.
  void Set(uint64_t bytes_per_second);

  // Takes `bytes` if there are any at all: the debt of an entry larger than what is left is paid by
  // those that follow, so that no line is too long for any rate.
  bool Take(size_t bytes, int64_t now_ms);
  // Whether Take would succeed.
  bool Ready(int64_t now_ms);

 private:
  void Refill(int64_t now_ms);

  int64_t capacity_ = 0;  // thousandths of a byte, as is `level_`; 0: no limit
  int64_t level_ = 0;
  int64_t filled_ms_ = 0;
  bool recovering_ = false;
};

}  // namespace davit::conmon
