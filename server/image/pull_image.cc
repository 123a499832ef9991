// SPDX-License-Identifier: Apache-2.0
#include "base/cri_errors.h"
#include "base/status.h"
#include "server/image/image_rpcs.h"
#include "server/image/pull_request.h"

namespace davit::server {
namespace {

// The kubelet compares the beginning of an error's text, and takes the code out of that text only
// where it is UNKNOWN.
absl::Status ForKubelet(const absl::Status& status) {
  return Message(status).starts_with(kRegistryUnavailable)
             ? WithCode(absl::StatusCode::kUnknown, status)
             : status;
}

}  // namespace

absl::StatusOr<runtime::v1::PullImageResponse> PullImage(
    Node& node, Context& ctx, const runtime::v1::PullImageRequest& request) {
  const std::string& name = request.image().image();
  if (name.empty()) {
    return InvalidArgument("the request names no image to pull");
  }
  ctx.SetStage("pull " + name);
  const auto result = node.puller.Pull(
      ctx, ToPullRequest(request.image(), request.auth(), request.sandbox_config()), nullptr);
  if (!result.ok()) {
    return ForKubelet(result.status());
  }
  runtime::v1::PullImageResponse response;
  response.set_image_ref(result->image_id);
  return response;
}

}  // namespace davit::server
