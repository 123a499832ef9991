// SPDX-License-Identifier: Apache-2.0
#include "server/image/image_rpcs.h"
#include "server/image/image_view.h"

namespace davit::server {

absl::StatusOr<runtime::v1::ListImagesResponse> ListImages(
    Node& node, Context& /*ctx*/, const runtime::v1::ListImagesRequest& request) {
  runtime::v1::ListImagesResponse response;
  const std::string& wanted = request.filter().image().image();
  if (wanted.empty()) {
    for (const auto& record : node.storage.ListImages()) {
      *response.add_images() = ToCri(*record);
    }
    return response;
  }
  ASSIGN_OR_RETURN(auto found, FindImage(node, wanted));
  if (found) {
    *response.add_images() = ToCri(**found);
  }
  return response;
}

}  // namespace davit::server
