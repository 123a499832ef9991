// SPDX-License-Identifier: Apache-2.0
//
// Makes the event of a change that has just been recorded, with the statuses of the pod and all its
// containers as they are then, for those who listen. Whoever calls holds the object's op_mutex, so
// events of one object come in the order of its changes.
#pragma once

#include "server/node.h"

namespace davit::server {

void PublishEvent(Node& node, const Container& container, runtime::v1::ContainerEventType type);
// A pod has events of its own, as if it were a container: container_id is the pod's ID.
void PublishEvent(Node& node, const Sandbox& sandbox, runtime::v1::ContainerEventType type);

}  // namespace davit::server
