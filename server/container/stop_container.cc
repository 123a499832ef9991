// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>

#include "base/status.h"
#include "server/container/container_rpcs.h"
#include "server/container/stop.h"

namespace davit::server {
namespace {

// Keeps the arithmetic of deadlines far from its limits.
constexpr int64_t kLongestGraceSeconds = int64_t{366} * 24 * 3600;

}  // namespace

absl::StatusOr<runtime::v1::StopContainerResponse> StopContainer(
    Node& node, Context& ctx, const runtime::v1::StopContainerRequest& request) {
  const auto container = node.containers.Find(request.container_id());
  if (absl::IsNotFound(container.status())) {
    return runtime::v1::StopContainerResponse();
  }
  RETURN_IF_ERROR(container.status());
  const std::chrono::seconds grace(std::clamp<int64_t>(request.timeout(), 0, kLongestGraceSeconds));
  RETURN_IF_ERROR(StopGracefully(node, ctx, **container, grace));
  return runtime::v1::StopContainerResponse();
}

}  // namespace davit::server
