// SPDX-License-Identifier: Apache-2.0
//
// Handlers of statistics and metrics: kernel counters (cgroups, procfs) read at the moment of the
// request, the size of the writable layer from a background sample that says when it was taken. No
// handler forks or touches the disk.
#pragma once

#include "absl/status/statusor.h"

#include "base/context.h"
#include "base/net_counters.h"
#include "server/api/api.pb.h"
#include "server/chunks.h"
#include "server/node.h"

namespace davit::server {

absl::StatusOr<runtime::v1::ContainerStatsResponse> ContainerStats(
    Node& node, Context& ctx, const runtime::v1::ContainerStatsRequest& request);
// Running containers only, as the kubelet expects.
absl::StatusOr<runtime::v1::ListContainerStatsResponse> ListContainerStats(
    Node& node, Context& ctx, const runtime::v1::ListContainerStatsRequest& request);
Filler<runtime::v1::StreamContainerStatsResponse> StreamContainerStats(
    Node& node, const runtime::v1::StreamContainerStatsRequest& request);

absl::StatusOr<runtime::v1::PodSandboxStatsResponse> PodSandboxStats(
    Node& node, Context& ctx, const runtime::v1::PodSandboxStatsRequest& request);
// Pods that are ready, with their running containers.
absl::StatusOr<runtime::v1::ListPodSandboxStatsResponse> ListPodSandboxStats(
    Node& node, Context& ctx, const runtime::v1::ListPodSandboxStatsRequest& request);
Filler<runtime::v1::StreamPodSandboxStatsResponse> StreamPodSandboxStats(
    Node& node, const runtime::v1::StreamPodSandboxStatsRequest& request);

absl::StatusOr<runtime::v1::ListMetricDescriptorsResponse> ListMetricDescriptors(
    Node& node, Context& ctx, const runtime::v1::ListMetricDescriptorsRequest& request);
// The same pods and containers as ListPodSandboxStats.
absl::StatusOr<runtime::v1::ListPodSandboxMetricsResponse> ListPodSandboxMetrics(
    Node& node, Context& ctx, const runtime::v1::ListPodSandboxMetricsRequest& request);
Filler<runtime::v1::StreamPodSandboxMetricsResponse> StreamPodSandboxMetrics(
    Node& node, const runtime::v1::StreamPodSandboxMetricsRequest& request);

// Attributes are always filled; counters only while the cgroup exists.
runtime::v1::ContainerStats StatsOf(Node& node, const Container::Record& record);
runtime::v1::PodSandboxStats StatsOf(Node& node, const Sandbox::Record& record,
                                     const NetCounters& network);

}  // namespace davit::server
