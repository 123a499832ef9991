// SPDX-License-Identifier: Apache-2.0
#include "server/spec/rootfs_prep.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/rooted_path.h"
#include "base/status.h"
#include "base/text.h"
#include "server/spec/container_path.h"

namespace davit::server::spec {
namespace {

constexpr mode_t kVolumeMode = 0755;

bool IsMounted(const runtime::v1::ContainerConfig& container, const std::string& volume) {
  const absl::StatusOr<std::string> clean = CleanContainerPath(volume, "volume");
  const auto& mounts = container.mounts();
  return clean.ok() && std::any_of(mounts.begin(), mounts.end(), [&](const auto& mount) {
           const auto path = CleanContainerPath(mount.container_path(), "container_path");
           return path.ok() && *path == *clean;
         });
}

}  // namespace

absl::StatusOr<std::vector<std::string>> MakeDeclaredVolumes(
    int root_fd, const image::ImageConfig& image, const runtime::v1::ContainerConfig& container,
    const Owner& owner) {
  std::vector<std::string> paths;
  for (const std::string& volume : image.volumes) {
    if (volume.empty() || volume.find('\0') != std::string::npos) {
      return InvalidArgument("image volume \"{}\": is not a path", Printable(volume));
    }
    if (IsMounted(container, volume)) {
      continue;
    }
    const absl::StatusOr<UniqueFd> made = MakeDirsInRoot(root_fd, volume, kVolumeMode, owner);
    if (!made.ok()) {
      return Annotate(made.status(), "image volume " + Printable(volume));
    }
    ASSIGN_OR_RETURN(std::string path, PathInRoot(root_fd, made->get()));
    paths.push_back(std::move(path));
  }
  return paths;
}

absl::Status LinkMtab(int root_fd, const Owner& owner) {
  const absl::StatusOr<UniqueFd> etc = OpenInRoot(root_fd, "/etc", O_PATH | O_DIRECTORY);
  if (!etc.ok()) {
    return absl::OkStatus();
  }
  if (symlinkat("/proc/mounts", etc->get(), "mtab") != 0) {
    return errno == EEXIST ? absl::OkStatus()
                           : ErrnoStatus(errno, "link the container's /etc/mtab");
  }
  const bool give = owner.uid != 0 || owner.gid != 0;
  if (give && fchownat(etc->get(), "mtab", owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, "set the owner of the container's /etc/mtab");
  }
  return absl::OkStatus();
}

}  // namespace davit::server::spec
