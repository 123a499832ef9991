// SPDX-License-Identifier: Apache-2.0
#include "server/events/publish.h"

#include <memory>
#include <utility>

#include "base/time.h"
#include "server/container/read_rpcs.h"
#include "server/events/container_events.h"
#include "server/sandbox/read_rpcs.h"

namespace davit::server {
namespace {

using Event = runtime::v1::ContainerEventResponse;

std::shared_ptr<Event> NewEvent(const Node& node, const std::string& id,
                                runtime::v1::ContainerEventType type, const Sandbox* sandbox) {
  auto event = std::make_shared<Event>();
  event->set_container_id(id);
  event->set_container_event_type(type);
  event->set_created_at(NowNanos());
  if (sandbox != nullptr) {
    *event->mutable_pod_sandbox_status() = StatusOf(*sandbox->record());
    *event->mutable_containers_statuses() = ContainerStatusesOf(node, sandbox->id());
  }
  return event;
}

}  // namespace

void PublishEvent(Node& node, const Container& container, runtime::v1::ContainerEventType type) {
  if (!node.events.listened_to()) {
    return;
  }
  const auto sandbox = node.sandboxes.Find(container.sandbox_id());
  node.events.Publish(
      NewEvent(node, container.id(), type, sandbox.ok() ? sandbox->get() : nullptr));
}

void PublishEvent(Node& node, const Sandbox& sandbox, runtime::v1::ContainerEventType type) {
  if (node.events.listened_to()) {
    node.events.Publish(NewEvent(node, sandbox.id(), type, &sandbox));
  }
}

}  // namespace davit::server
