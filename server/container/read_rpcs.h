// SPDX-License-Identifier: Apache-2.0
//
// Handlers that read containers: snapshots in memory only, they never wait for an operation.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "server/api/api.pb.h"
#include "server/chunks.h"
#include "server/node.h"

namespace davit::server {

absl::StatusOr<runtime::v1::ContainerStatusResponse> ContainerStatus(
    Node& node, Context& ctx, const runtime::v1::ContainerStatusRequest& request);
// A serialized ListContainersResponse: see ListPodSandbox in server/sandbox/read_rpcs.h.
absl::StatusOr<SharedBytes> ListContainers(Node& node, Context& ctx,
                                           const runtime::v1::ListContainersRequest& request);

Filler<runtime::v1::StreamContainersResponse> StreamContainers(
    Node& node, const runtime::v1::StreamContainersRequest& request);

using ContainerStatuses = google::protobuf::RepeatedPtrField<runtime::v1::ContainerStatus>;
runtime::v1::ContainerStatus StatusOf(const davit::state::v1::ContainerRecord& record);
// Of all containers of the pod that are there for the kubelet.
ContainerStatuses ContainerStatusesOf(const Node& node, const std::string& sandbox_id);

runtime::v1::ContainerState ToCriState(davit::state::v1::ContainerState state);
// A container whose CreateContainer has not finished is not there yet.
bool Visible(const davit::state::v1::ContainerRecord& record);

}  // namespace davit::server
