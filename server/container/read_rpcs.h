// SPDX-License-Identifier: Apache-2.0
//
// Handlers that read containers: snapshots in memory only, they never wait for an operation.
#pragma once

#include "absl/status/statusor.h"

#include "base/context.h"
#include "server/api/api.pb.h"
#include "server/node.h"

namespace davit::server {

absl::StatusOr<runtime::v1::ContainerStatusResponse> ContainerStatus(
    Node& node, Context& ctx, const runtime::v1::ContainerStatusRequest& request);
absl::StatusOr<runtime::v1::ListContainersResponse> ListContainers(
    Node& node, Context& ctx, const runtime::v1::ListContainersRequest& request);

runtime::v1::ContainerState ToCriState(davit::state::v1::ContainerState state);
// A container whose CreateContainer has not finished is not there yet.
bool Visible(const davit::state::v1::ContainerRecord& record);

}  // namespace davit::server
