// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"
#include "base/status.h"
#include "server/container/container_rpcs.h"

namespace davit::server {

absl::StatusOr<runtime::v1::CheckpointContainerResponse> CheckpointContainer(
    Node& node, Context& /*ctx*/, const runtime::v1::CheckpointContainerRequest& request) {
  ASSIGN_OR_RETURN(const auto container, node.containers.Find(request.container_id()));
  return Unimplemented(
      "CheckpointContainer: container {} cannot be checkpointed, davit does not drive CRIU; the "
      "container runs on",
      ShortId(container->id()));
}

}  // namespace davit::server
