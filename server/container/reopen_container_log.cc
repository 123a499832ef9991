// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"
#include "base/status.h"
#include "server/container/container_rpcs.h"
#include "server/container/running.h"
#include "server/oci/monitor.h"
#include "server/paths.h"

namespace davit::server {

// Takes no lock: a log is rotated also while the container is being stopped.
absl::StatusOr<runtime::v1::ReopenContainerLogResponse> ReopenContainerLog(
    Node& node, Context& ctx, const runtime::v1::ReopenContainerLogRequest& request) {
  ASSIGN_OR_RETURN(const auto container,
                   FindRunning(node, request.container_id(), "reopen its log"));
  ctx.SetStage("reopen log");
  const Paths paths(node.config.storage.run);
  const absl::Status reopened = oci::ReopenLog(ctx, paths.Container(container->id()));
  if (absl::IsNotFound(reopened)) {
    return FailedPrecondition("container {} has just ended: its log cannot be reopened",
                              ShortId(container->id()));
  }
  RETURN_IF_ERROR(reopened);
  return runtime::v1::ReopenContainerLogResponse();
}

}  // namespace davit::server
