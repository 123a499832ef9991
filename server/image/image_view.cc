// SPDX-License-Identifier: Apache-2.0
#include "server/image/image_view.h"

#include "base/text.h"
#include "image/image_config.h"
#include "image/pinned.h"

namespace davit::server {
namespace {

constexpr size_t kShortestIdPrefix = 3;

bool LooksLikeId(std::string_view name) {
  if (name.starts_with("sha256:")) {
    return true;
  }
  return name.size() >= kShortestIdPrefix && name.size() <= kIdLength && IsLowerHex(name);
}

}  // namespace

runtime::v1::Image ToCri(const Node& node, const storage::ImageRecord& record) {
  runtime::v1::Image image;
  image.set_id(record.id);
  for (const auto& tag : record.tags) {
    image.add_repo_tags(tag);
  }
  for (const auto& digest : record.digests) {
    image.add_repo_digests(digest);
  }
  image.set_size(record.size);
  image.set_pinned(!record.store.empty() || image::IsPinned(record, node.config.image.pinned));
  image.mutable_spec()->set_image(record.id);
  if (!record.store.empty()) {
    (*image.mutable_spec()->mutable_annotations())[kStoreAnnotation] = record.store;
  }
  if (!record.artifact_type.empty()) {
    (*image.mutable_spec()->mutable_annotations())[kArtifactTypeAnnotation] = record.artifact_type;
    return image;  // nobody runs as a user of it
  }
  if (auto config = image::ParseImageConfig(record.config_json); config.ok()) {
    const std::string user = Split(config->user, ':').front();
    if (const auto uid = ParseInt(user)) {
      image.mutable_uid()->set_value(*uid);
    } else {
      image.set_username(user);
    }
  }
  return image;
}

absl::StatusOr<std::optional<std::shared_ptr<const storage::ImageRecord>>> FindImage(
    const Node& node, const std::string& name, storage::Damaged damaged) {
  if (name.empty()) {
    return InvalidArgument("the request names no image");
  }
  if (LooksLikeId(name)) {
    ASSIGN_OR_RETURN(auto found, node.storage.FindImage(name, damaged));
    if (found) {
      return found;
    }
    if (name.starts_with("sha256:") || name.size() == kIdLength) {
      return found;
    }
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, node.puller.Names(name));
  for (const std::string& canonical : names) {
    ASSIGN_OR_RETURN(auto found, node.storage.FindImage(canonical, damaged));
    if (found) {
      return found;
    }
  }
  return std::nullopt;
}

}  // namespace davit::server
