// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/log.h"
#include "image/policy/checker.h"
#include "server/image/image_rpcs.h"
#include "server/image/image_view.h"

namespace davit::server {
namespace {

bool HasName(const storage::ImageRecord& record, const std::string& name) {
  const auto contains = [&name](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return contains(record.tags) || contains(record.digests);
}

}  // namespace

absl::StatusOr<runtime::v1::RemoveImageResponse> RemoveImage(
    Node& node, Context& ctx, const runtime::v1::RemoveImageRequest& request) {
  const std::string& name = request.image().image();
  ctx.SetStage("remove image " + name);
  ASSIGN_OR_RETURN(auto found, FindImage(node, name, storage::Damaged::kShown));
  if (!found) {
    return runtime::v1::RemoveImageResponse();
  }
  const auto names = node.puller.Names(name);
  for (const std::string& canonical : names.value_or(std::vector<std::string>())) {
    if (HasName(**found, canonical)) {
      RETURN_IF_ERROR(node.storage.RemoveImageName(canonical));
      log::IfError(node.policy.Sweep(node.storage), "forget signatures of images that are gone");
      return runtime::v1::RemoveImageResponse();
    }
  }
  RETURN_IF_ERROR(node.storage.RemoveImage((*found)->id));
  log::IfError(node.policy.Sweep(node.storage), "forget signatures of images that are gone");
  return runtime::v1::RemoveImageResponse();
}

}  // namespace davit::server
