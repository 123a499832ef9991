// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/id.h"
#include "base/time.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/table.h"
#include "server/image/image_view.h"

namespace davit::server::cli {
namespace {

void AddRows(const runtime::v1::Image& image, Table& table) {
  const std::string id = ShortId(image.id());
  const std::string size = HumanBytes(image.size());
  const std::string pinned = image.pinned() ? "yes" : "";
  const auto& annotations = image.spec().annotations();
  const auto type = annotations.find(kArtifactTypeAnnotation);
  const std::string kind = type == annotations.end() ? "image" : type->second;
  if (image.repo_tags().empty()) {
    const std::string name = image.repo_digests().empty() ? "<none>" : image.repo_digests(0);
    table.Add({name, "<none>", id, size, pinned, kind});
  }
  for (const auto& name : image.repo_tags()) {
    const size_t colon = name.rfind(':');
    table.Add({name.substr(0, colon), name.substr(colon + 1), id, size, pinned, kind});
  }
}

}  // namespace

absl::Status RunImages(const Globals& globals, const std::string& filter) {
  Client client(globals.socket);
  runtime::v1::ListImagesRequest request;
  request.mutable_filter()->mutable_image()->set_image(filter);
  ASSIGN_OR_RETURN(const auto response, DAVIT_IMAGE_CALL(client, ListImages, request));
  if (globals.json) {
    fmt::print("{}", ToJson(response));
    return absl::OkStatus();
  }
  Table table({"IMAGE", "TAG", "ID", "SIZE", "PINNED", "KIND"});
  for (const auto& image : response.images()) {
    AddRows(image, table);
  }
  fmt::print("{}", table.Text());
  return absl::OkStatus();
}

absl::Status RunRemoveImages(const Globals& globals, const std::vector<std::string>& images) {
  Client client(globals.socket);
  for (const auto& image : images) {
    runtime::v1::RemoveImageRequest request;
    request.mutable_image()->set_image(image);
    RETURN_IF_ERROR(DAVIT_IMAGE_CALL(client, RemoveImage, request, kLong).status());
    fmt::print("{}\n", image);
  }
  return absl::OkStatus();
}

}  // namespace davit::server::cli
