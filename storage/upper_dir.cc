// SPDX-License-Identifier: Apache-2.0
#include "storage/upper_dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "base/status.h"
#include "storage/additional_stores.h"
#include "storage/implied_dirs.h"

namespace davit::storage {
namespace {

// The layer whose tar says what "/" is like: the topmost that does, else the topmost.
std::string RootModel(const ImageRecord& image, const LayerTable& layers, const Paths& paths) {
  for (auto it = image.layers.rbegin(); it != image.layers.rend(); ++it) {
    const auto layer = layers.by_id.find(*it);
    if (layer != layers.by_id.end() && (layer->second.flags & kHasRootEntry) != 0) {
      return DiffOf(layer->second, paths);
    }
  }
  return image.layers.empty() ? paths.EmptyLower()
                              : DiffOf(layers.by_id.at(image.layers.back()), paths);
}

// The layers that the mount shows, topmost first; empty if none of them implies a directory above
// another one.
absl::StatusOr<std::vector<LayerView>> ViewsOf(const ImageRecord& image, const LayerTable& layers,
                                               const Paths& paths) {
  std::vector<LayerView> views;
  std::set<Digest> seen;
  bool implied = false;
  for (auto it = image.layers.rbegin(); it != image.layers.rend(); ++it) {
    const auto layer = layers.by_id.find(*it);
    if (layer == layers.by_id.end() || !seen.insert(*it).second) {
      continue;
    }
    LayerView view{.diff = DiffOf(layer->second, paths), .implied = {}};
    if ((layer->second.flags & kHasImplied) != 0) {
      ASSIGN_OR_RETURN(view.implied, ReadImpliedDirs(DirectoryOf(layer->second, paths)));
      implied = true;
    }
    views.push_back(std::move(view));
    if ((layer->second.flags & kOpaqueRoot) != 0) {
      break;
    }
  }
  if (!implied || views.size() < 2) {
    views.clear();
  }
  return views;
}

}  // namespace

absl::Status MakeUpper(const std::string& container_id, const ImageRecord& image,
                       const LayerTable& layers, const IdMappings& mappings, const Paths& paths) {
  struct stat st = {};
  const std::string model = RootModel(image, layers, paths);
  if (stat(model.c_str(), &st) != 0) {
    return ErrnoStatus(errno, "stat " + model);
  }
  const std::string upper = paths.Upper(container_id);
  RETURN_IF_ERROR(MakeDirs(upper, 0700));
  RETURN_IF_ERROR(MakeDirs(paths.Work(container_id), 0700));
  ASSIGN_OR_RETURN(const std::vector<LayerView> views, ViewsOf(image, layers, paths));
  if (!views.empty()) {
    RETURN_IF_ERROR(MakeImpliedDirs(views, upper, mappings));
  }
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (fchown(fd.get(), MapToHost(mappings.uids, st.st_uid), MapToHost(mappings.gids, st.st_gid)) !=
          0 ||
      fchmod(fd.get(), st.st_mode & 07777U) != 0) {
    return ErrnoStatus(errno, "set owner and mode of " + upper);
  }
  return absl::OkStatus();
}

}  // namespace davit::storage
