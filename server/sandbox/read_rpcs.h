// SPDX-License-Identifier: Apache-2.0
//
// Handlers that read sandboxes: snapshots in memory only, they never wait for an operation.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "server/api/api.pb.h"
#include "server/chunks.h"
#include "server/node.h"

namespace davit::server {

absl::StatusOr<runtime::v1::PodSandboxStatusResponse> PodSandboxStatus(
    Node& node, Context& ctx, const runtime::v1::PodSandboxStatusRequest& request);
// A serialized ListPodSandboxResponse, put together from serialized entries, which are kept with
// the objects, and kept itself where all are asked for: a kubelet asks each second, and most have
// not changed. One message's repeated fields are what its parts have, one after the other
// (protobuf's encoding, "Last One Wins").
absl::StatusOr<SharedBytes> ListPodSandbox(Node& node, Context& ctx,
                                           const runtime::v1::ListPodSandboxRequest& request);

Filler<runtime::v1::StreamPodSandboxesResponse> StreamPodSandboxes(
    Node& node, const runtime::v1::StreamPodSandboxesRequest& request);

runtime::v1::PodSandboxStatus StatusOf(const davit::state::v1::SandboxRecord& record);

// READY only while it can be used: everything else is NOTREADY to the kubelet.
runtime::v1::PodSandboxState ToCriState(davit::state::v1::SandboxState state);
// A sandbox whose RunPodSandbox has not finished is not there yet.
bool Visible(const davit::state::v1::SandboxRecord& record);

}  // namespace davit::server
