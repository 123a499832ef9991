// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/refusal_log.h"

#include "base/log.h"
#include "base/status.h"

namespace davit::server::streaming {

void RefusalLog::Say(const absl::Status& why, Clock::time_point now) {
  if (now - since_ >= kEvery) {
    if (unsaid_ > 0) {
      log::Info("streaming: {} further clients were refused", unsaid_);
    }
    since_ = now;
    lines_ = 0;
    unsaid_ = 0;
  }
  if (lines_ < kLines) {
    ++lines_;
    log::Info("streaming: refused: {}", Message(why));
  } else {
    ++unsaid_;
  }
}

}  // namespace davit::server::streaming
