// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"
#include "server/sandbox/sandbox_rpcs.h"
#include "server/sandbox/teardown.h"

namespace davit::server {

absl::StatusOr<runtime::v1::RemovePodSandboxResponse> RemovePodSandbox(
    Node& node, Context& ctx, const runtime::v1::RemovePodSandboxRequest& request) {
  const auto sandbox = node.sandboxes.Find(request.pod_sandbox_id());
  if (absl::IsNotFound(sandbox.status())) {
    return runtime::v1::RemovePodSandboxResponse();
  }
  RETURN_IF_ERROR(sandbox.status());
  ctx.SetStage("wait for another operation on the sandbox");
  absl::MutexLock lock(&(*sandbox)->op_mutex);
  // Another call may have removed it while this one waited.
  if (node.sandboxes.Find((*sandbox)->id()).ok()) {
    RETURN_IF_ERROR(RemoveSandboxLocked(node, ctx, **sandbox));
  }
  return runtime::v1::RemovePodSandboxResponse();
}

}  // namespace davit::server
