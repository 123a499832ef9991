// SPDX-License-Identifier: Apache-2.0
//
// Handlers of runtime.v1.RuntimeService that change pods, one for each file of its name. Each is a
// list of steps with its intent on disk before the first: docs/recovery.md.
#pragma once

#include "absl/status/statusor.h"

#include "base/context.h"
#include "server/api/api.pb.h"
#include "server/node.h"

namespace davit::server {

// The same metadata gives the same sandbox: an existing one, or the one that a request still
// running makes.
absl::StatusOr<runtime::v1::RunPodSandboxResponse> RunPodSandbox(
    Node& node, Context& ctx, const runtime::v1::RunPodSandboxRequest& request);
// Kills its containers, gives back network and namespaces. Stopped already, or unknown: success.
absl::StatusOr<runtime::v1::StopPodSandboxResponse> StopPodSandbox(
    Node& node, Context& ctx, const runtime::v1::StopPodSandboxRequest& request);
// Stops what runs, removes its containers and everything else. Unknown: success.
absl::StatusOr<runtime::v1::RemovePodSandboxResponse> RemovePodSandbox(
    Node& node, Context& ctx, const runtime::v1::RemovePodSandboxRequest& request);
// Gives a URL of the streaming server; nothing happens before a client comes there.
absl::StatusOr<runtime::v1::PortForwardResponse> PortForward(
    Node& node, Context& ctx, const runtime::v1::PortForwardRequest& request);

absl::StatusOr<runtime::v1::UpdatePodSandboxResourcesResponse> UpdatePodSandboxResources(
    Node& node, Context& ctx, const runtime::v1::UpdatePodSandboxResourcesRequest& request);
// Unimplemented, as CheckpointContainer.
absl::StatusOr<runtime::v1::CheckpointPodResponse> CheckpointPod(
    Node& node, Context& ctx, const runtime::v1::CheckpointPodRequest& request);
absl::StatusOr<runtime::v1::RestorePodResponse> RestorePod(
    Node& node, Context& ctx, const runtime::v1::RestorePodRequest& request);

}  // namespace davit::server
