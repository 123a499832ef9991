// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"
#include "server/container/container_rpcs.h"
#include "server/container/teardown.h"

namespace davit::server {

absl::StatusOr<runtime::v1::RemoveContainerResponse> RemoveContainer(
    Node& node, Context& ctx, const runtime::v1::RemoveContainerRequest& request) {
  const auto container = node.containers.Find(request.container_id());
  if (absl::IsNotFound(container.status())) {
    return runtime::v1::RemoveContainerResponse();
  }
  RETURN_IF_ERROR(container.status());
  RETURN_IF_ERROR(RemoveContainerObject(node, ctx, **container));
  return runtime::v1::RemoveContainerResponse();
}

}  // namespace davit::server
