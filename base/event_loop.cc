// SPDX-License-Identifier: Apache-2.0
#include "base/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/status.h"

namespace davit {
namespace {

using Clock = std::chrono::steady_clock;
constexpr uint64_t kWakeId = 0;

}  // namespace

struct EventLoop::Impl {
  struct Watched {
    int fd;
    std::shared_ptr<const std::function<void(uint32_t)>> fn;
  };
  using TimerKey = std::pair<Clock::time_point, TimerId>;

  UniqueFd epoll;
  UniqueFd wake;
  std::thread thread;
  std::thread::id thread_id;

  absl::Mutex mutex;
  absl::CondVar callback_ended;
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  uint64_t next_id ABSL_GUARDED_BY(mutex) = kWakeId + 1;  // watches and timers share the numbers
  uint64_t running ABSL_GUARDED_BY(mutex) = 0;            // whose callback runs
  std::map<WatchId, Watched> watches ABSL_GUARDED_BY(mutex);
  std::map<TimerKey, std::function<void()>> timers ABSL_GUARDED_BY(mutex);
  std::map<TimerId, Clock::time_point> timer_times ABSL_GUARDED_BY(mutex);
  std::vector<std::function<void()>> posted ABSL_GUARDED_BY(mutex);

  void Wake() const { eventfd_write(wake.get(), 1); }

  void Run() {
    std::array<epoll_event, 64> events = {};
    while (true) {
      int timeout = -1;
      {
        absl::MutexLock lock(&mutex);
        if (stopping) {
          return;
        }
        timeout = TimeoutMs();
      }
      const int count =
          epoll_wait(epoll.get(), events.data(), static_cast<int>(events.size()), timeout);
      if (count < 0 && errno != EINTR) {
        log::Error("the event loop ends: epoll_wait: {}", ErrnoText(errno));
        return;
      }
      for (int i = 0; i < count; ++i) {
        Dispatch(events[static_cast<size_t>(i)]);
      }
      RunTimers();
      RunPosted();
    }
  }

  int TimeoutMs() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (!posted.empty()) {
      return 0;
    }
    if (timers.empty()) {
      return -1;
    }
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(timers.begin()->first.first - Clock::now());
    return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 3'600'000));
  }

  void Dispatch(const epoll_event& event) {
    if (event.data.u64 == kWakeId) {
      eventfd_t ignored = 0;
      eventfd_read(wake.get(), &ignored);
      return;
    }
    std::shared_ptr<const std::function<void(uint32_t)>> fn;
    {
      absl::MutexLock lock(&mutex);
      const auto it = watches.find(event.data.u64);
      if (it == watches.end()) {
        return;  // unwatched after epoll_wait returned
      }
      fn = it->second.fn;
      running = it->first;
    }
    (*fn)(event.events);
    fn.reset();  // before Unwatch returns: what it captured may be its caller's
    CallbackEnded();
  }

  void RunTimers() {
    const Clock::time_point now = Clock::now();
    while (true) {
      std::function<void()> fn;
      {
        absl::MutexLock lock(&mutex);
        if (stopping || timers.empty() || timers.begin()->first.first > now) {
          return;
        }
        auto node = timers.extract(timers.begin());
        timer_times.erase(node.key().second);
        running = node.key().second;
        fn = std::move(node.mapped());
      }
      fn();
      fn = nullptr;
      CallbackEnded();
    }
  }

  void RunPosted() {
    std::vector<std::function<void()>> work;
    {
      absl::MutexLock lock(&mutex);
      work.swap(posted);
    }
    for (std::function<void()>& fn : work) {
      fn();
      fn = nullptr;
    }
  }

  void CallbackEnded() {
    absl::MutexLock lock(&mutex);
    running = 0;
    callback_ended.SignalAll();
  }

  void AwaitEndOf(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (std::this_thread::get_id() == thread_id) {
      return;  // the callback itself asks
    }
    while (running == id) {
      callback_ended.Wait(&mutex);
    }
  }
};

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create() {
  std::unique_ptr<EventLoop> loop(new EventLoop());
  Impl& impl = *loop->impl_;
  impl.epoll.Reset(epoll_create1(EPOLL_CLOEXEC));
  impl.wake.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = kWakeId;
  if (!impl.epoll.valid() || !impl.wake.valid() ||
      epoll_ctl(impl.epoll.get(), EPOLL_CTL_ADD, impl.wake.get(), &event) != 0) {
    return ErrnoStatus(errno, "make the event loop");
  }
  try {
    absl::MutexLock lock(&impl.mutex);  // the thread does not run ahead of its own id
    impl.thread = std::thread([&impl] { impl.Run(); });
    impl.thread_id = impl.thread.get_id();
  } catch (const std::system_error& error) {
    return ResourceExhausted("start the event loop's thread: {}", error.what());
  }
  return loop;
}

EventLoop::~EventLoop() {
  {
    absl::MutexLock lock(&impl_->mutex);
    impl_->stopping = true;
  }
  if (impl_->thread.joinable()) {
    impl_->Wake();
    impl_->thread.join();
  }
}

absl::StatusOr<EventLoop::WatchId> EventLoop::Watch(int fd, uint32_t epoll_events,
                                                    std::function<void(uint32_t)> fn) {
  absl::MutexLock lock(&impl_->mutex);
  const WatchId id = impl_->next_id++;
  epoll_event event = {};
  event.events = epoll_events;
  event.data.u64 = id;
  if (epoll_ctl(impl_->epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return ErrnoStatus(errno, fmt::format("watch descriptor {}", fd));
  }
  impl_->watches.emplace(
      id, Impl::Watched{fd, std::make_shared<const std::function<void(uint32_t)>>(std::move(fn))});
  return id;
}

void EventLoop::Unwatch(WatchId id) {
  Impl::Watched removed{};  // destroyed without the lock
  absl::MutexLock lock(&impl_->mutex);
  const auto it = impl_->watches.find(id);
  if (it != impl_->watches.end()) {
    epoll_ctl(impl_->epoll.get(), EPOLL_CTL_DEL, it->second.fd, nullptr);
    removed = std::move(it->second);
    impl_->watches.erase(it);
  }
  impl_->AwaitEndOf(id);
}

EventLoop::TimerId EventLoop::After(std::chrono::milliseconds delay, std::function<void()> fn) {
  // Far enough, and without overflow.
  constexpr std::chrono::milliseconds kFarthest = std::chrono::hours(24 * 365 * 10);
  const Clock::time_point when = Clock::now() + std::min(delay, kFarthest);
  TimerId id = 0;
  {
    absl::MutexLock lock(&impl_->mutex);
    id = impl_->next_id++;
    impl_->timers.emplace(Impl::TimerKey{when, id}, std::move(fn));
    impl_->timer_times.emplace(id, when);
  }
  impl_->Wake();
  return id;
}

void EventLoop::CancelTimer(TimerId id) {
  std::function<void()> removed;  // destroyed without the lock
  absl::MutexLock lock(&impl_->mutex);
  if (auto node = impl_->timer_times.extract(id)) {
    auto timer = impl_->timers.extract({node.mapped(), id});
    removed = std::move(timer.mapped());
  }
  impl_->AwaitEndOf(id);
}

void EventLoop::Post(std::function<void()> fn) {
  {
    absl::MutexLock lock(&impl_->mutex);
    impl_->posted.push_back(std::move(fn));
  }
  impl_->Wake();
}

}  // namespace davit
