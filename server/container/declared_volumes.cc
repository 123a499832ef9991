// SPDX-License-Identifier: Apache-2.0
#include "server/container/declared_volumes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/rooted_path.h"
#include "base/status.h"
#include "server/spec/rootfs_prep.h"

namespace davit::server {
namespace {

absl::Status CopyOwnerAndMode(int root_fd, const std::string& path, const std::string& volume) {
  ASSIGN_OR_RETURN(const UniqueFd model, OpenInRoot(root_fd, path, O_PATH | O_DIRECTORY));
  struct stat st = {};
  if (fstat(model.get(), &st) != 0) {
    return ErrnoStatus(errno, "stat image volume " + path);
  }
  ASSIGN_OR_RETURN(const UniqueFd dir, Open(volume, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (fchown(dir.get(), st.st_uid, st.st_gid) != 0 || fchmod(dir.get(), st.st_mode & 07777U) != 0) {
    return ErrnoStatus(errno, "set owner and mode of " + volume);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> PrepareDeclaredVolumes(
    Node& node, const Container::Record& record, const image::ImageConfig& image, int root_fd,
    const Owner& pod_root) {
  std::map<std::string, std::string> binds;
  const std::string& policy = node.config.image.volumes;
  if (policy == "ignore") {
    return binds;
  }
  ASSIGN_OR_RETURN(const auto paths,
                   spec::MakeDeclaredVolumes(root_fd, image, record.config(), pod_root));
  if (policy != "bind") {
    return binds;
  }
  for (const std::string& path : paths) {
    // Two names of one directory are one volume.
    if (binds.contains(path)) {
      continue;
    }
    ASSIGN_OR_RETURN(const std::string volume,
                     node.storage.MakeContainerVolume(record.id(), std::to_string(binds.size())));
    RETURN_IF_ERROR(CopyOwnerAndMode(root_fd, path, volume));
    binds[path] = volume;
  }
  return binds;
}

}  // namespace davit::server
