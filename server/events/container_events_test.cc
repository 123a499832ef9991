// SPDX-License-Identifier: Apache-2.0
#include "server/events/container_events.h"

#include <list>
#include <vector>

#include <gtest/gtest.h>

namespace davit::server {
namespace {

ContainerEvent Named(const std::string& id) {
  auto event = std::make_shared<runtime::v1::ContainerEventResponse>();
  event->set_container_id(id);
  return event;
}

struct Recorder final : ContainerEvents::Listener {
  void OnEvent(const ContainerEvent& event) override { ids.push_back(event->container_id()); }
  void OnClose() override { closed = true; }
  std::vector<std::string> ids;
  bool closed = false;
};

TEST(EventQueue, KeepsOrderAndRunsOver) {
  EventQueue queue;
  EXPECT_EQ(queue.Pop(), nullptr);
  for (size_t i = 0; i < EventQueue::kMaxEvents; ++i) {
    ASSERT_TRUE(queue.Push(Named(std::to_string(i))));
  }
  EXPECT_FALSE(queue.overrun());
  EXPECT_FALSE(queue.Push(Named("too much")));
  EXPECT_TRUE(queue.overrun());
  EXPECT_EQ(queue.Pop()->container_id(), "0");
  EXPECT_FALSE(queue.Push(Named("after a gap"))) << "a gap must not be hidden";
}

TEST(ContainerEvents, ReachEveryListenerUntilItGoes) {
  ContainerEvents events;
  Recorder first;
  Recorder second;
  EXPECT_FALSE(events.listened_to());
  ASSERT_TRUE(events.Subscribe(first).ok());
  ASSERT_TRUE(events.Subscribe(second).ok());
  EXPECT_TRUE(events.listened_to());
  events.Publish(Named("a"));
  events.Unsubscribe(first);
  events.Unsubscribe(first);
  events.Publish(Named("b"));
  EXPECT_EQ(first.ids, std::vector<std::string>({"a"}));
  EXPECT_EQ(second.ids, std::vector<std::string>({"a", "b"}));
  events.Close();
  EXPECT_TRUE(second.closed);
  EXPECT_FALSE(first.closed);
  EXPECT_TRUE(absl::IsUnavailable(events.Subscribe(first)));
}

TEST(ContainerEvents, AreBoundedInListeners) {
  ContainerEvents events;
  std::list<Recorder> listeners(ContainerEvents::kMaxListeners);
  for (auto& listener : listeners) {
    ASSERT_TRUE(events.Subscribe(listener).ok());
  }
  Recorder another;
  EXPECT_TRUE(absl::IsResourceExhausted(events.Subscribe(another)));
  events.Unsubscribe(listeners.front());
  EXPECT_TRUE(events.Subscribe(another).ok());
}

}  // namespace
}  // namespace davit::server
