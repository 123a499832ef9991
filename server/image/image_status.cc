// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "server/image/image_rpcs.h"
#include "server/image/image_view.h"

namespace davit::server {
namespace {

// crictl and tools read `info` as JSON with labels and the OCI config under imageSpec.
std::string VerboseInfo(const storage::ImageRecord& record) {
  nlohmann::json info;
  if (auto config = ParseJson(record.config_json, "image config"); config.ok()) {
    info["labels"] = JsonChild(JsonChild(*config, "config"), "Labels");
    info["imageSpec"] = *std::move(config);
  }
  if (!record.artifact_type.empty()) {
    info["artifactType"] = record.artifact_type;
  }
  for (const auto& layer : record.layers) {
    info["layers"].push_back(layer.text());
  }
  return DumpJson(info);
}

}  // namespace

absl::StatusOr<runtime::v1::ImageStatusResponse> ImageStatus(
    Node& node, Context& /*ctx*/, const runtime::v1::ImageStatusRequest& request) {
  runtime::v1::ImageStatusResponse response;
  ASSIGN_OR_RETURN(auto found, FindImage(node, request.image().image()));
  if (!found) {
    return response;
  }
  *response.mutable_image() = ToCri(node, **found);
  if (request.verbose()) {
    (*response.mutable_info())["info"] = VerboseInfo(**found);
  }
  return response;
}

}  // namespace davit::server
