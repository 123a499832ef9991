// SPDX-License-Identifier: Apache-2.0
//
// RuntimeService.GetContainerEvents: one stream for each listener, until it goes away, the daemon
// stops (UNAVAILABLE) or it reads too slowly (RESOURCE_EXHAUSTED: subscribe and list anew).
#pragma once

#include "server/api/api.grpc.pb.h"
#include "server/node.h"

namespace davit::server {

grpc::ServerWriteReactor<runtime::v1::ContainerEventResponse>* ListenToContainerEvents(Node& node);

}  // namespace davit::server
