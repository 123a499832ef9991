// SPDX-License-Identifier: Apache-2.0
//
// Requests that wait for their client. A token is 256 random bits; whoever has it may run a command
// in a container, so it works once and for a short time. Thread-safe.
#pragma once

#include <chrono>
#include <string>
#include <unordered_map>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "server/streaming/request.h"

namespace davit::server::streaming {

class TokenTable {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr size_t kMaxWaiting = 1000;

  explicit TokenTable(Clock::duration lifetime) : lifetime_(lifetime) {}

  // ResourceExhausted while kMaxWaiting clients have not come.
  absl::StatusOr<std::string> Add(Request request, Clock::time_point now = Clock::now());
  // NotFound for one that never was, was used, or is too old; the message does not say which.
  absl::StatusOr<Request> Take(const std::string& token, Clock::time_point now = Clock::now());

 private:
  struct Waiting {
    Request request;
    Clock::time_point until;
  };

  const Clock::duration lifetime_;
  absl::Mutex mutex_;
  // Hashed: the time of a look-up says nothing about how much of a guess was right.
  std::unordered_map<std::string, Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit::server::streaming
