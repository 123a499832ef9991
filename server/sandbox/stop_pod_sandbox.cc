// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"
#include "server/sandbox/sandbox_rpcs.h"
#include "server/sandbox/teardown.h"

namespace davit::server {

absl::StatusOr<runtime::v1::StopPodSandboxResponse> StopPodSandbox(
    Node& node, Context& ctx, const runtime::v1::StopPodSandboxRequest& request) {
  const auto sandbox = node.sandboxes.Find(request.pod_sandbox_id());
  if (absl::IsNotFound(sandbox.status())) {
    return runtime::v1::StopPodSandboxResponse();
  }
  RETURN_IF_ERROR(sandbox.status());
  ctx.SetStage("wait for another operation on the sandbox");
  absl::MutexLock lock(&(*sandbox)->op_mutex);
  // Removed while this call waited: there is nothing left to stop.
  if (!node.sandboxes.Find((*sandbox)->id()).ok()) {
    return runtime::v1::StopPodSandboxResponse();
  }
  RETURN_IF_ERROR(StopSandboxLocked(node, ctx, **sandbox));
  return runtime::v1::StopPodSandboxResponse();
}

}  // namespace davit::server
