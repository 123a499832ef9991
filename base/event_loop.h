// SPDX-License-Identifier: Apache-2.0
//
// The one event-loop thread: epoll over pidfds, inotify, timers, signals and monitor sockets.
// Callbacks run on that thread and must not block: they post long work to the Executor.
// All methods may be called from any thread, also from callbacks.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"

namespace davit {

class EventLoop {
 public:
  using WatchId = uint64_t;
  using TimerId = uint64_t;

  static absl::StatusOr<std::unique_ptr<EventLoop>> Create();  // starts the thread
  ~EventLoop();                                                // stops and joins it
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Calls `fn(events)` while the descriptor is ready (level-triggered). The descriptor stays the
  // caller's, and must outlive the watch.
  absl::StatusOr<WatchId> Watch(int fd, uint32_t epoll_events, std::function<void(uint32_t)> fn);
  // After return (from another thread than the loop's) the callback is not running and never will.
  void Unwatch(WatchId id);

  TimerId After(std::chrono::milliseconds delay, std::function<void()> fn);
  void CancelTimer(TimerId id);

  void Post(std::function<void()> fn);

 private:
  EventLoop();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace davit
