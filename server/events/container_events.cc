// SPDX-License-Identifier: Apache-2.0
#include "server/events/container_events.h"

#include <utility>

#include "base/status.h"

namespace davit::server {

bool EventQueue::Push(ContainerEvent event) {
  if (overrun_ || events_.size() >= kMaxEvents) {
    overrun_ = true;
    return false;
  }
  events_.push_back(std::move(event));
  return true;
}

ContainerEvent EventQueue::Pop() {
  if (events_.empty()) {
    return nullptr;
  }
  ContainerEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

absl::Status ContainerEvents::Subscribe(Listener& listener) {
  absl::MutexLock lock(&mutex_);
  if (closed_) {
    return Unavailable("davit is stopping: no more events");
  }
  if (listeners_.size() >= kMaxListeners) {
    return ResourceExhausted("{} clients listen to container events already", kMaxListeners);
  }
  listeners_.insert(&listener);
  listeners_count_ = listeners_.size();
  return absl::OkStatus();
}

void ContainerEvents::Unsubscribe(Listener& listener) {
  absl::MutexLock lock(&mutex_);
  listeners_.erase(&listener);
  listeners_count_ = listeners_.size();
}

void ContainerEvents::Publish(ContainerEvent event) {
  absl::MutexLock lock(&mutex_);
  for (Listener* listener : listeners_) {
    listener->OnEvent(event);
  }
}

void ContainerEvents::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  for (Listener* listener : listeners_) {
    listener->OnClose();
  }
}

}  // namespace davit::server
