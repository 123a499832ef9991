// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/token_table.h"

#include <utility>

#include "base/id.h"
#include "base/status.h"

namespace davit::server::streaming {

absl::StatusOr<std::string> TokenTable::Add(Request request, Clock::time_point now) {
  absl::MutexLock lock(&mutex_);
  std::erase_if(waiting_, [now](const auto& entry) { return entry.second.until <= now; });
  if (waiting_.size() >= kMaxWaiting) {
    return ResourceExhausted(
        "{} exec, attach or port-forward URLs wait for their client; try again later", kMaxWaiting);
  }
  std::string token = NewId();
  waiting_.emplace(token, Waiting{std::move(request), now + lifetime_});
  return token;
}

absl::StatusOr<Request> TokenTable::Take(const std::string& token, Clock::time_point now) {
  absl::MutexLock lock(&mutex_);
  auto found = waiting_.extract(token);
  if (found.empty() || found.mapped().until <= now) {
    return NotFound("no such URL: each can be used once, and soon after it was given");
  }
  return std::move(found.mapped().request);
}

}  // namespace davit::server::streaming
