// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>

#include "absl/status/status.h"

namespace davit::server::streaming {

// Says in the log why a client was refused. Whoever reaches the port can be refused as often as he
// likes: some lines a minute are logged, the others are counted. Of one thread.
class RefusalLog {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr size_t kLines = 20;
  static constexpr std::chrono::minutes kEvery{1};

  void Say(const absl::Status& why, Clock::time_point now = Clock::now());

 private:
  Clock::time_point since_;
  size_t lines_ = 0;
  size_t unsaid_ = 0;
};

}  // namespace davit::server::streaming
