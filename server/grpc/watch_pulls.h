// SPDX-License-Identifier: Apache-2.0
//
// Davit.WatchPulls: a picture of the running pulls at once, and again while the client watches. It
// holds no thread between two pictures.
#pragma once

#include "server/api/davit.grpc.pb.h"
#include "server/node.h"

namespace davit::server {

grpc::ServerWriteReactor<davit::v1::PullsInProgress>* WatchPulls(
    const Node& node, const davit::v1::WatchPullsRequest& request);

}  // namespace davit::server
