// SPDX-License-Identifier: Apache-2.0
//
// Handlers that read sandboxes: snapshots in memory only, they never wait for an operation.
#pragma once

#include "absl/status/statusor.h"

#include "base/context.h"
#include "server/api/api.pb.h"
#include "server/chunks.h"
#include "server/node.h"

namespace davit::server {

absl::StatusOr<runtime::v1::PodSandboxStatusResponse> PodSandboxStatus(
    Node& node, Context& ctx, const runtime::v1::PodSandboxStatusRequest& request);
absl::StatusOr<runtime::v1::ListPodSandboxResponse> ListPodSandbox(
    Node& node, Context& ctx, const runtime::v1::ListPodSandboxRequest& request);

Filler<runtime::v1::StreamPodSandboxesResponse> StreamPodSandboxes(
    Node& node, const runtime::v1::StreamPodSandboxesRequest& request);

runtime::v1::PodSandboxStatus StatusOf(const davit::state::v1::SandboxRecord& record);

// READY only while it can be used: everything else is NOTREADY to the kubelet.
runtime::v1::PodSandboxState ToCriState(davit::state::v1::SandboxState state);
// A sandbox whose RunPodSandbox has not finished is not there yet.
bool Visible(const davit::state::v1::SandboxRecord& record);

}  // namespace davit::server
