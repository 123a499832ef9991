// SPDX-License-Identifier: Apache-2.0
#include "base/context.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "base/fd.h"
#include "base/status.h"
#include "base/time.h"
#include "base/trace.h"

namespace davit {

// Shared, so that a parent's Cancel may reach a child that is being destroyed meanwhile.
struct Context::State {
  const Clock::time_point start = Clock::now();
  const Clock::time_point deadline;
  const std::shared_ptr<State> parent;

  std::atomic<bool> cancelled{false};
  absl::Mutex mutex;
  std::string stage ABSL_GUARDED_BY(mutex);
  trace::SpanContext span ABSL_GUARDED_BY(mutex);
  UniqueFd cancel_fd ABSL_GUARDED_BY(mutex);  // made on first use: most contexts are never polled
  std::set<std::shared_ptr<State>> children ABSL_GUARDED_BY(mutex);

  explicit State(Clock::time_point the_deadline, std::shared_ptr<State> the_parent = nullptr)
      : deadline(the_deadline), parent(std::move(the_parent)) {}

  static Clock::time_point After(Clock::duration timeout) {
    const Clock::time_point now = Clock::now();
    return timeout >= Clock::time_point::max() - now ? Clock::time_point::max() : now + timeout;
  }

  void Cancel() {
    std::set<std::shared_ptr<State>> affected;
    {
      absl::MutexLock lock(&mutex);
      if (cancelled.exchange(true)) {
        return;
      }
      SignalFd();
      affected.swap(children);
    }
    // Without the lock: no thread ever holds the locks of two contexts.
    for (const auto& child : affected) {
      child->Cancel();
    }
  }

  void SignalFd() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (cancel_fd.valid()) {
      eventfd_write(cancel_fd.get(), 1);  // never read, so readable for good
    }
  }

  // False if it is cancelled already.
  bool Adopt(const std::shared_ptr<State>& child) {
    absl::MutexLock lock(&mutex);
    if (cancelled.load()) {
      return false;
    }
    children.insert(child);
    return true;
  }

  void Disown(const std::shared_ptr<State>& child) {
    absl::MutexLock lock(&mutex);
    children.erase(child);
  }

  std::string Stage() {
    absl::MutexLock lock(&mutex);
    return stage;
  }
};

Context::Context() : Context(Clock::time_point::max()) {}

Context::Context(Clock::duration timeout) : Context(State::After(timeout)) {}

Context::Context(Clock::time_point deadline) : state_(std::make_shared<State>(deadline)) {}

Context::Context(Context& parent, Clock::duration timeout)
    : state_(std::make_shared<State>(std::min(parent.deadline(), State::After(timeout)),
                                     parent.state_)) {
  SetStage(parent.stage());
  SetSpan(parent.span());
  if (!parent.state_->Adopt(state_)) {
    state_->Cancel();
  }
}

Context::~Context() {
  if (state_->parent) {
    state_->parent->Disown(state_);
  }
}

void Context::Cancel() {
  state_->Cancel();
}

bool Context::cancelled() const {
  return state_->cancelled.load();
}

Context::Clock::time_point Context::deadline() const {
  return state_->deadline;
}

absl::Status Context::Check() const {
  const bool cancelled_now = cancelled();
  if (!cancelled_now &&
      (state_->deadline == Clock::time_point::max() || Clock::now() < state_->deadline)) {
    return absl::OkStatus();
  }
  const std::string where = stage();
  const std::string during = where.empty() ? "" : " in stage '" + where + "'";
  const auto lasted = std::chrono::nanoseconds(Clock::now() - state_->start).count();
  if (cancelled_now) {
    return Cancelled("cancelled after {}{}", HumanDuration(lasted), during);
  }
  return DeadlineExceeded("deadline exceeded after {}{}", HumanDuration(lasted), during);
}

int Context::PollTimeoutMs() const {
  if (state_->deadline == Clock::time_point::max()) {
    return -1;
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(state_->deadline - Clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, std::numeric_limits<int>::max()));
}

int Context::cancel_fd() const {
  absl::MutexLock lock(&state_->mutex);
  if (!state_->cancel_fd.valid()) {
    state_->cancel_fd.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (state_->cancelled.load()) {
      state_->SignalFd();
    }
  }
  return state_->cancel_fd.get();
}

void Context::SetStage(std::string stage) {
  absl::MutexLock lock(&state_->mutex);
  state_->stage = std::move(stage);
}

std::string Context::stage() const {
  return state_->Stage();
}

void Context::SetSpan(const trace::SpanContext& span) {
  absl::MutexLock lock(&state_->mutex);
  state_->span = span;
}

trace::SpanContext Context::span() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->span;
}

}  // namespace davit
