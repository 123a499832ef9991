// SPDX-License-Identifier: Apache-2.0
#include "storage/implied_dirs.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <optional>

#include "base/fd.h"
#include "base/file.h"
#include "base/rooted_path.h"
#include "base/status.h"
#include "base/text.h"
#include "storage/id_mapping.h"
#include "storage/layer_tree.h"

namespace davit::storage {
namespace {

constexpr char kListName[] = "implied";
constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr char kOpaque[] = "trusted.overlay.opaque";

// The directory that the mount shows at `path`, as far as one layer can say.
enum class Answer { kAbsent, kImplied, kSaid, kHidden };

struct Found {
  Answer answer = Answer::kAbsent;
  bool opaque = false;
  UniqueFd fd;
};

// No symlinks: the mount does not follow those of one layer either.
absl::StatusOr<Found> Look(const LayerView& layer, const UniqueFd& diff, const std::string& path) {
  absl::StatusOr<UniqueFd> node = OpenBeneath(diff.get(), path, O_PATH | O_NOFOLLOW);
  if (!node.ok()) {
    // Something on the way is no directory: what is below is hidden.
    const bool absent = node.status().code() == absl::StatusCode::kNotFound;
    return Found{.answer = absent ? Answer::kAbsent : Answer::kHidden, .opaque = false, .fd = {}};
  }
  struct stat st = {};
  if (fstat(node->get(), &st) != 0) {
    return ErrnoStatus(errno, "stat '" + Printable(path) + "' in " + layer.diff);
  }
  if (!S_ISDIR(st.st_mode)) {
    return Found{.answer = Answer::kHidden, .opaque = false, .fd = {}};
  }
  ASSIGN_OR_RETURN(UniqueFd fd, OpenBeneath(diff.get(), path, kOpenDir));
  char value = 0;
  const bool opaque = fgetxattr(fd.get(), kOpaque, &value, 1) == 1 && value == 'y';
  return Found{.answer = layer.implied.contains(path) ? Answer::kImplied : Answer::kSaid,
               .opaque = opaque,
               .fd = std::move(fd)};
}

// The directory that says what `path` is like, if that is not the topmost one that has it.
absl::StatusOr<UniqueFd> FindModel(const std::vector<LayerView>& layers,
                                   const std::vector<UniqueFd>& diffs, const std::string& path) {
  bool implied = false;
  for (size_t i = 0; i < layers.size(); ++i) {
    ASSIGN_OR_RETURN(Found found, Look(layers[i], diffs[i], path));
    if (found.answer == Answer::kSaid) {
      return implied ? std::move(found.fd) : UniqueFd();
    }
    if (found.answer == Answer::kHidden || found.opaque) {
      break;
    }
    implied = implied || found.answer == Answer::kImplied;
  }
  return UniqueFd();
}

absl::Status CopyXattrs(int from, int to, const std::string& path) {
  std::string names(size_t{64} << 10U, '\0');
  const ssize_t size = flistxattr(from, names.data(), names.size());
  if (size < 0) {
    return errno == ENOTSUP ? absl::OkStatus() : ErrnoStatus(errno, "list attributes of " + path);
  }
  for (const std::string& name : Split(std::string_view(names.data(), size), '\0')) {
    if (name.empty() || name.starts_with("trusted.overlay.")) {
      continue;
    }
    std::string value(size_t{64} << 10U, '\0');
    const ssize_t length = fgetxattr(from, name.c_str(), value.data(), value.size());
    if (length < 0 || fsetxattr(to, name.c_str(), value.data(), length, 0) != 0) {
      return ErrnoStatus(errno, fmt::format("copy attribute {} of {}", Printable(name), path));
    }
  }
  return absl::OkStatus();
}

absl::Status CopyMetadata(int from, int to, const IdMappings& mappings, const std::string& path) {
  struct stat st = {};
  if (fstat(from, &st) != 0) {
    return ErrnoStatus(errno, "stat " + path);
  }
  if (fchown(to, MapToHost(mappings.uids, st.st_uid), MapToHost(mappings.gids, st.st_gid)) != 0 ||
      fchmod(to, st.st_mode & 07777U) != 0) {
    return ErrnoStatus(errno, "set owner and mode of " + path);
  }
  RETURN_IF_ERROR(CopyXattrs(from, to, path));
  const timespec times[2] = {st.st_atim, st.st_mtim};
  return futimens(to, times) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "set times of " + path);
}

// What the mount shows at `path`: the topmost directory that says something, else the topmost.
absl::StatusOr<UniqueFd> FindShown(const std::vector<LayerView>& layers,
                                   const std::vector<UniqueFd>& diffs, const std::string& path) {
  UniqueFd topmost;
  for (size_t i = 0; i < layers.size(); ++i) {
    ASSIGN_OR_RETURN(Found found, Look(layers[i], diffs[i], path));
    if (found.answer == Answer::kSaid) {
      return std::move(found.fd);
    }
    if (found.answer == Answer::kHidden) {
      break;
    }
    const bool opaque = found.opaque;
    if (found.answer == Answer::kImplied && !topmost.valid()) {
      topmost = std::move(found.fd);
    }
    if (opaque) {
      break;
    }
  }
  if (!topmost.valid()) {
    return NotFound("no layer has the directory '{}'", Printable(path));
  }
  return topmost;
}

// With its parents. What they are like is set when all are made: making one changes the times of
// the one above, and a default ACL would change what is made below it.
absl::Status MakeInUpper(const UniqueFd& upper, const std::string& path,
                         std::set<std::string>& made) {
  for (size_t end = path.find('/');; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    const size_t slash = part.rfind('/');
    const std::string above = slash == std::string::npos ? "" : part.substr(0, slash);
    if (!made.contains(part)) {
      ASSIGN_OR_RETURN(const UniqueFd dir, OpenBeneath(upper.get(), above, kOpenDir));
      const std::string name = part.substr(slash == std::string::npos ? 0 : slash + 1);
      if (mkdirat(dir.get(), name.c_str(), 0700) != 0 && errno != EEXIST) {
        return ErrnoStatus(errno, "make directory '" + Printable(part) + "' above the layers");
      }
      made.insert(part);
    }
    if (end == std::string::npos) {
      return absl::OkStatus();
    }
  }
}

}  // namespace

absl::Status WriteImpliedDirs(int directory_fd, const std::set<std::string>& paths) {
  std::string list;
  size_t count = 0;
  for (const std::string& path : paths) {
    if (count++ == kMaxImpliedDirs) {
      break;
    }
    list += path;
    list += '\0';
  }
  ASSIGN_OR_RETURN(const UniqueFd fd,
                   OpenAt(directory_fd, kListName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return WriteFd(fd.get(), list, "the list of implied directories");
}

absl::StatusOr<std::set<std::string>> ReadImpliedDirs(const std::string& layer_directory) {
  ASSIGN_OR_RETURN(const UniqueFd dir, Open(layer_directory, O_PATH | O_DIRECTORY));
  absl::StatusOr<std::string> list =
      ReadFileInRoot(dir.get(), kListName, kMaxImpliedDirs * PATH_MAX);
  if (!list.ok()) {
    const bool none = list.status().code() == absl::StatusCode::kNotFound;
    return none ? absl::StatusOr<std::set<std::string>>(std::set<std::string>())
                : Annotate(list.status(), "implied directories of layer " + layer_directory);
  }
  std::set<std::string> paths;
  for (const std::string& path : Split(*list, '\0')) {
    absl::StatusOr<std::string> normal = NormalizeTarPath(path);
    if (normal.ok() && !normal->empty()) {
      paths.insert(*std::move(normal));
    }
  }
  return paths;
}

absl::Status MakeImpliedDirs(const std::vector<LayerView>& layers, const std::string& upper,
                             const IdMappings& mappings) {
  std::set<std::string> paths;
  std::vector<UniqueFd> diffs;
  for (const LayerView& layer : layers) {
    paths.insert(layer.implied.begin(), layer.implied.end());
    ASSIGN_OR_RETURN(UniqueFd diff, Open(layer.diff, O_PATH | O_DIRECTORY));
    diffs.push_back(std::move(diff));
  }
  ASSIGN_OR_RETURN(const UniqueFd upper_fd, Open(upper, kOpenDir));
  std::set<std::string> made;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(const UniqueFd model, FindModel(layers, diffs, path));
    if (model.valid()) {
      RETURN_IF_ERROR(MakeInUpper(upper_fd, path, made));
    }
  }
  for (auto it = made.rbegin(); it != made.rend(); ++it) {
    ASSIGN_OR_RETURN(const UniqueFd model, FindShown(layers, diffs, *it));
    ASSIGN_OR_RETURN(const UniqueFd fd, OpenBeneath(upper_fd.get(), *it, kOpenDir));
    RETURN_IF_ERROR(CopyMetadata(model.get(), fd.get(), mappings, Printable(*it)));
  }
  return absl::OkStatus();
}

}  // namespace davit::storage
