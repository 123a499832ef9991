// SPDX-License-Identifier: Apache-2.0
//
// What happens to pods and containers, for whoever listens (GetContainerEvents). Publishing never
// waits for a listener: each has a bounded queue of its own, and one that lets it run over is told
// to subscribe and list anew, since it has missed something. Any number of listeners up to
// kMaxListeners, so that a client that comes back need not wait until its old stream is noticed to
// be dead. Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "server/api/api.pb.h"

namespace davit::server {

using ContainerEvent = std::shared_ptr<const runtime::v1::ContainerEventResponse>;

// The queue of one listener. Not thread-safe.
class EventQueue {
 public:
  static constexpr size_t kMaxEvents = 1024;

  // False if it is full: from then on it stays so.
  bool Push(ContainerEvent event);
  // Null if it is empty.
  ContainerEvent Pop();
  [[nodiscard]] bool overrun() const { return overrun_; }

 private:
  std::deque<ContainerEvent> events_;
  bool overrun_ = false;
};

class ContainerEvents {
 public:
  static constexpr size_t kMaxListeners = 64;

  // Called under the mutex of the hub: must not block, nor call the hub.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnEvent(const ContainerEvent& event) = 0;
    virtual void OnClose() = 0;  // no more events: the daemon stops
  };

  // ResourceExhausted beyond kMaxListeners, Unavailable after Close.
  absl::Status Subscribe(Listener& listener);
  // After return the listener is not called any more. One that is not subscribed is no mistake.
  void Unsubscribe(Listener& listener);

  // Whether anybody listens: for the caller to save the making of an event.
  [[nodiscard]] bool listened_to() const { return listeners_count_ > 0; }
  void Publish(ContainerEvent event);
  void Close();

 private:
  absl::Mutex mutex_;
  std::set<Listener*> listeners_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<size_t> listeners_count_ = 0;
};

}  // namespace davit::server
