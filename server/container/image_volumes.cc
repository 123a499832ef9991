// SPDX-License-Identifier: Apache-2.0
#include "server/container/image_volumes.h"

#include <fcntl.h>

#include <algorithm>

#include "base/cri_errors.h"
#include "base/file.h"
#include "base/rooted_path.h"
#include "base/status.h"
#include "base/text.h"
#include "server/image/image_policy.h"
#include "server/image/image_view.h"
#include "server/spec/spec.h"

namespace davit::server {
namespace {

namespace v1 = runtime::v1;

absl::Status CheckSubPath(const std::string& path) {
  const std::vector<std::string> parts = Split(path, '/');
  if (!path.starts_with('/') && std::find(parts.begin(), parts.end(), "..") == parts.end()) {
    return absl::OkStatus();
  }
  return InvalidArgument("sub path \"{}\" must be relative and must not hold \"..\"",
                         Printable(path));
}

absl::Status Resolve(const Node& node, Context& ctx, const std::string& pod_namespace,
                     v1::Mount& mount) {
  if (!mount.host_path().empty()) {
    return InvalidArgument("host_path must be empty for an image");
  }
  if (!mount.readonly()) {
    return InvalidArgument("readonly must be true: an image can only be mounted read-only");
  }
  RETURN_IF_ERROR(CheckSubPath(mount.image_sub_path()));
  ASSIGN_OR_RETURN(const auto image, FindImage(node, mount.image().image()));
  if (!image) {
    return NotFound("image {} is not present on this node; pull it first",
                    Printable(mount.image().image()));
  }
  RETURN_IF_ERROR(CheckImagePolicy(node, ctx, **image, mount.image(), pod_namespace));
  mount.mutable_image()->set_image_ref((*image)->id);
  return absl::OkStatus();
}

// Nobody can write to the mount, so what is resolved now stays what it is.
absl::StatusOr<std::string> ResolveSubPath(const std::string& root, const v1::Mount& mount) {
  const std::string& path = mount.image_sub_path();
  if (path.empty()) {
    return root;
  }
  ASSIGN_OR_RETURN(const UniqueFd root_fd, Open(root, O_PATH | O_DIRECTORY));
  const auto found = OpenInRoot(root_fd.get(), path, O_PATH | O_DIRECTORY);
  if (absl::IsNotFound(found.status())) {
    return NotFound("sub path \"{}\" does not exist in image volume {}", Printable(path),
                    Printable(mount.image().image()));
  }
  if (absl::IsFailedPrecondition(found.status())) {
    return FailedPrecondition("sub path \"{}\" in image volume {} is not a directory",
                              Printable(path), Printable(mount.image().image()));
  }
  RETURN_IF_ERROR(found.status());
  ASSIGN_OR_RETURN(const std::string within, PathInRoot(root_fd.get(), found->get()));
  return within == "/" ? root : root + within;
}

absl::StatusOr<std::string> MountOne(Node& node, const std::string& container_id,
                                     const v1::Mount& mount, const storage::IdMappings& mappings) {
  ASSIGN_OR_RETURN(const std::string root, node.storage.MountImageVolume(
                                               container_id, mount.image().image_ref(), mappings));
  return ResolveSubPath(root, mount);
}

// The kubelet looks at the beginning, so it comes before everything else.
absl::Status VolumeError(const absl::Status& status, int index) {
  return Annotate(Annotate(status, fmt::format("mounts[{}]", index)), kImageVolumeMountFailed);
}

}  // namespace

absl::Status ResolveImageVolumes(const Node& node, Context& ctx, const std::string& pod_namespace,
                                 v1::ContainerConfig& config) {
  for (int i = 0; i < config.mounts_size(); ++i) {
    if (spec::IsImageVolume(config.mounts(i))) {
      RETURN_IF_ERROR(VolumeError(Resolve(node, ctx, pod_namespace, *config.mutable_mounts(i)), i));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::map<int, std::string>> MountImageVolumes(Node& node, Context& ctx,
                                                             const Container::Record& record,
                                                             const storage::IdMappings& mappings) {
  std::map<int, std::string> paths;
  for (int i = 0; i < record.config().mounts_size(); ++i) {
    const v1::Mount& mount = record.config().mounts(i);
    if (!spec::IsImageVolume(mount)) {
      continue;
    }
    ctx.SetStage("mount image volume " + mount.image().image());
    RETURN_IF_ERROR(ctx.Check());
    auto path = MountOne(node, record.id(), mount, mappings);
    if (!path.ok()) {
      return VolumeError(path.status(), i);
    }
    paths[i] = *std::move(path);
  }
  return paths;
}

}  // namespace davit::server
