// SPDX-License-Identifier: Apache-2.0
//
// Context: what every operation carries: a deadline, a cancel token and a stage name, so that "why
// is my pod not up" always has an answer. Passed by reference down the call chain, owned by the
// request (or by the background work) at its top. All methods are thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"

namespace davit {

namespace trace {
struct SpanContext;
}

class Context {
 public:
  using Clock = std::chrono::steady_clock;

  // No deadline; cancelled only by Cancel().
  Context();
  explicit Context(Clock::duration timeout);
  explicit Context(Clock::time_point deadline);
  // A child ends when its parent is cancelled or at the earlier of both deadlines.
  // The parent must outlive the child.
  Context(Context& parent, Clock::duration timeout);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  // Ends the operation; waiters wake at once. Idempotent.
  void Cancel();

  // OK, Cancelled or DeadlineExceeded (the message names the current stage).
  [[nodiscard]] absl::Status Check() const;
  [[nodiscard]] bool cancelled() const;

  [[nodiscard]] Clock::time_point deadline() const;  // time_point::max() if none
  // Milliseconds to the deadline for poll(2): -1 without a deadline, 0 when past. Rounded up.
  [[nodiscard]] int PollTimeoutMs() const;

  // A descriptor that becomes (and stays) readable on cancellation; valid while *this lives.
  [[nodiscard]] int cancel_fd() const;

  // The step in progress, e.g. "cni add": appears in logs and in the message of Check().
  void SetStage(std::string stage);
  [[nodiscard]] std::string stage() const;

  // The span that the operation's next spans are children of (base/trace.h); invalid at first, or
  // that of the parent context.
  void SetSpan(const trace::SpanContext& span);
  [[nodiscard]] trace::SpanContext span() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace davit
