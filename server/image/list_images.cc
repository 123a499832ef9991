// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <utility>

#include "server/image/image_rpcs.h"
#include "server/image/image_view.h"

namespace davit::server {

absl::StatusOr<runtime::v1::ListImagesResponse> ListImages(
    Node& node, Context& /*ctx*/, const runtime::v1::ListImagesRequest& request) {
  runtime::v1::ListImagesResponse response;
  const std::string& wanted = request.filter().image().image();
  if (wanted.empty()) {
    for (const auto& record : node.storage.ListImages()) {
      *response.add_images() = ToCri(node, *record);
    }
    return response;
  }
  ASSIGN_OR_RETURN(auto found, FindImage(node, wanted));
  if (found) {
    *response.add_images() = ToCri(node, **found);
  }
  return response;
}

absl::StatusOr<Filler<runtime::v1::StreamImagesResponse>> StreamImages(
    Node& node, const runtime::v1::StreamImagesRequest& request) {
  using Response = runtime::v1::StreamImagesResponse;
  using Record = const storage::ImageRecord;
  std::vector<std::shared_ptr<Record>> records;
  const std::string& wanted = request.filter().image().image();
  if (wanted.empty()) {
    records = node.storage.ListImages();
  } else {
    ASSIGN_OR_RETURN(auto found, FindImage(node, wanted));
    if (found) {
      records.push_back(*found);
    }
  }
  auto add = [&node](Response& piece, Record& record) -> size_t {
    auto& image = *piece.add_images();
    image = ToCri(node, record);
    return image.ByteSizeLong();
  };
  return WalkObjects<Response, Record>(std::move(records), std::move(add));
}

}  // namespace davit::server
