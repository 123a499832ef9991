// SPDX-License-Identifier: Apache-2.0
//
// Handlers of runtime.v1.RuntimeService that change containers or act within them, one for each
// file of its name. Steps and their undoing: docs/recovery.md; locks: docs/locking.md.
#pragma once

#include "absl/status/statusor.h"

#include "base/context.h"
#include "server/api/api.pb.h"
#include "server/node.h"

namespace davit::server {

// The same metadata in the same pod gives the same container until it is removed.
absl::StatusOr<runtime::v1::CreateContainerResponse> CreateContainer(
    Node& node, Context& ctx, const runtime::v1::CreateContainerRequest& request);
absl::StatusOr<runtime::v1::StartContainerResponse> StartContainer(
    Node& node, Context& ctx, const runtime::v1::StartContainerRequest& request);
// Stop signal, then SIGKILL after the timeout. Not running, or unknown: success.
absl::StatusOr<runtime::v1::StopContainerResponse> StopContainer(
    Node& node, Context& ctx, const runtime::v1::StopContainerRequest& request);
// Kills what runs. Unknown: success. The log file is the kubelet's.
absl::StatusOr<runtime::v1::RemoveContainerResponse> RemoveContainer(
    Node& node, Context& ctx, const runtime::v1::RemoveContainerRequest& request);
absl::StatusOr<runtime::v1::ExecSyncResponse> ExecSync(Node& node, Context& ctx,
                                                       const runtime::v1::ExecSyncRequest& request);
// Give a URL of the streaming server; nothing happens before a client comes there.
absl::StatusOr<runtime::v1::ExecResponse> Exec(Node& node, Context& ctx,
                                               const runtime::v1::ExecRequest& request);
absl::StatusOr<runtime::v1::AttachResponse> Attach(Node& node, Context& ctx,
                                                   const runtime::v1::AttachRequest& request);
absl::StatusOr<runtime::v1::UpdateContainerResourcesResponse> UpdateContainerResources(
    Node& node, Context& ctx, const runtime::v1::UpdateContainerResourcesRequest& request);
absl::StatusOr<runtime::v1::ReopenContainerLogResponse> ReopenContainerLog(
    Node& node, Context& ctx, const runtime::v1::ReopenContainerLogRequest& request);

// Unimplemented for a container that is there: Davit does not drive CRIU.
absl::StatusOr<runtime::v1::CheckpointContainerResponse> CheckpointContainer(
    Node& node, Context& ctx, const runtime::v1::CheckpointContainerRequest& request);

}  // namespace davit::server
