// SPDX-License-Identifier: Apache-2.0
#include "server/periodic.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace davit::server {

struct Periodic::State : std::enable_shared_from_this<Periodic::State> {
  State(EventLoop& loop_in, Executor& executor_in, std::chrono::milliseconds interval_in,
        Work work_in)
      : loop(loop_in), executor(executor_in), interval(interval_in), work(std::move(work_in)) {}

  void Arm(std::chrono::milliseconds delay) {
    absl::MutexLock lock(&mutex);
    if (!ended) {
      timer = loop.After(delay, [self = shared_from_this()] { self->Begin(); });
    }
  }

  // On the loop's thread.
  void Begin() {
    if (!work.due()) {
      Arm(interval);
      return;
    }
    absl::MutexLock lock(&mutex);
    if (!ended) {
      executor.Run([self = shared_from_this()] { self->Run(); });
    }
  }

  void Run() {
    Context ctx;
    {
      absl::MutexLock lock(&mutex);
      if (ended) {
        return;
      }
      running = &ctx;
    }
    work.run(ctx);
    {
      absl::MutexLock lock(&mutex);
      running = nullptr;
    }
    Arm(interval);
  }

  void End() {
    EventLoop::TimerId last = 0;
    {
      absl::MutexLock lock(&mutex);
      ended = true;
      last = timer;
      if (running != nullptr) {
        running->Cancel();
      }
    }
    loop.CancelTimer(last);  // waits for Begin(), which takes the lock
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(this, &State::Idle));
  }

  [[nodiscard]] bool Idle() const ABSL_SHARED_LOCKS_REQUIRED(mutex) { return running == nullptr; }

  EventLoop& loop;
  Executor& executor;
  const std::chrono::milliseconds interval;
  const Work work;

  absl::Mutex mutex;
  bool ended ABSL_GUARDED_BY(mutex) = false;
  Context* running ABSL_GUARDED_BY(mutex) = nullptr;
  EventLoop::TimerId timer ABSL_GUARDED_BY(mutex) = 0;
};

Periodic::Periodic(EventLoop& loop, Executor& executor, std::chrono::milliseconds interval,
                   Work work)
    : state_(std::make_shared<State>(loop, executor, interval, std::move(work))) {
  state_->Arm(std::chrono::milliseconds(0));
}

Periodic::~Periodic() {
  state_->End();
}

}  // namespace davit::server
