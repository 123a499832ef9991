// SPDX-License-Identifier: Apache-2.0
#include "base/executor.h"

#include <algorithm>
#include <deque>
#include <system_error>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "base/log.h"

namespace davit {
namespace {

constexpr absl::Duration kIdle = absl::Seconds(5);

}  // namespace

// Shared with the threads, which are detached: an ended thread leaves nothing behind to be joined.
struct Executor::Impl {
  const size_t max_threads;
  absl::Mutex mutex;
  absl::CondVar wake;
  absl::CondVar ended;
  std::deque<std::function<void()>> queue ABSL_GUARDED_BY(mutex);
  size_t threads ABSL_GUARDED_BY(mutex) = 0;
  size_t idle ABSL_GUARDED_BY(mutex) = 0;
  bool stopping ABSL_GUARDED_BY(mutex) = false;

  explicit Impl(size_t max) : max_threads(std::max<size_t>(max, 1)) {}

  static void ThreadMain(const std::shared_ptr<Impl>& self) {
    absl::MutexLock lock(&self->mutex);
    while (self->AwaitWork()) {
      std::function<void()> work = std::move(self->queue.front());
      self->queue.pop_front();
      self->mutex.Unlock();
      work();
      work = nullptr;  // what it captured may need the lock to end
      self->mutex.Lock();
    }
    --self->threads;
    self->ended.SignalAll();
  }

  // False when the thread is to end.
  bool AwaitWork() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const absl::Time until = absl::Now() + kIdle;
    while (queue.empty() && !stopping) {
      ++idle;
      const bool late = wake.WaitWithDeadline(&mutex, until);
      --idle;
      if (late && queue.empty()) {
        return false;
      }
    }
    return !queue.empty();
  }
};

Executor::Executor(size_t max_threads) : impl_(std::make_shared<Impl>(max_threads)) {}

Executor::~Executor() {
  absl::MutexLock lock(&impl_->mutex);
  impl_->stopping = true;
  impl_->wake.SignalAll();
  while (impl_->threads > 0) {
    impl_->ended.Wait(&impl_->mutex);
  }
}

void Executor::Run(std::function<void()> work) {
  absl::MutexLock lock(&impl_->mutex);
  impl_->queue.push_back(std::move(work));
  if (impl_->idle >= impl_->queue.size()) {
    impl_->wake.Signal();
    return;
  }
  impl_->wake.Signal();
  if (impl_->threads >= impl_->max_threads) {
    return;
  }
  try {
    std::thread(Impl::ThreadMain, impl_).detach();
    ++impl_->threads;
  } catch (const std::system_error& error) {
    // The work waits for a running thread, or for the next call here.
    log::Error("start a thread ({} run): {}", impl_->threads, error.what());
  }
}

}  // namespace davit
