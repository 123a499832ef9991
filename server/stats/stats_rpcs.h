// SPDX-License-Identifier: Apache-2.0
//
// Handlers of statistics: cgroup counters read at the moment of the request (kernel memory, no
// disk, no fork), the size of the writable layer from a background sample.
#pragma once

#include "absl/status/statusor.h"

#include "base/context.h"
#include "server/api/api.pb.h"
#include "server/node.h"

namespace davit::server {

absl::StatusOr<runtime::v1::ContainerStatsResponse> ContainerStats(
    Node& node, Context& ctx, const runtime::v1::ContainerStatsRequest& request);
// Running containers only, as the kubelet expects.
absl::StatusOr<runtime::v1::ListContainerStatsResponse> ListContainerStats(
    Node& node, Context& ctx, const runtime::v1::ListContainerStatsRequest& request);

// Attributes are always filled; counters only while the container's cgroup exists.
runtime::v1::ContainerStats StatsOf(Node& node, const Container::Record& record);

}  // namespace davit::server
