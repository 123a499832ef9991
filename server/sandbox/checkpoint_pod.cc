// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"
#include "base/status.h"
#include "server/sandbox/sandbox_rpcs.h"

namespace davit::server {

absl::StatusOr<runtime::v1::CheckpointPodResponse> CheckpointPod(
    Node& node, Context& /*ctx*/, const runtime::v1::CheckpointPodRequest& request) {
  ASSIGN_OR_RETURN(const auto sandbox, node.sandboxes.Find(request.pod_sandbox_id()));
  return Unimplemented(
      "CheckpointPod: sandbox {} cannot be checkpointed, davit does not drive CRIU; its containers "
      "run on",
      ShortId(sandbox->id()));
}

}  // namespace davit::server
