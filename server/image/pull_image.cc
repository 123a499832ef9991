// SPDX-License-Identifier: Apache-2.0
#include "server/image/image_rpcs.h"
#include "server/image/pull_request.h"

namespace davit::server {

absl::StatusOr<runtime::v1::PullImageResponse> PullImage(
    Node& node, Context& ctx, const runtime::v1::PullImageRequest& request) {
  const std::string& name = request.image().image();
  if (name.empty()) {
    return InvalidArgument("the request names no image to pull");
  }
  ctx.SetStage("pull " + name);
  ASSIGN_OR_RETURN(
      auto result,
      node.puller.Pull(
          ctx, ToPullRequest(request.image(), request.auth(), request.sandbox_config()), nullptr));
  runtime::v1::PullImageResponse response;
  response.set_image_ref(result.image_id);
  return response;
}

}  // namespace davit::server
