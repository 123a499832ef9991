// SPDX-License-Identifier: Apache-2.0
#include "storage/layer_tree.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <utility>

#include "base/file.h"
#include "base/rooted_path.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::storage {
namespace {

constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr mode_t kImpliedMode = 0755;

std::string_view DirName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string Quote(std::string_view path) {
  return "'" + Printable(path) + "'";
}

}  // namespace

absl::StatusOr<std::string> NormalizeTarPath(std::string_view path) {
  if (path.size() >= PATH_MAX) {
    return InvalidArgument("tar entry {}: the name is {} bytes long, the limit is {}", Quote(path),
                           path.size(), PATH_MAX - 1);
  }
  if (path.find('\0') != std::string_view::npos) {
    return InvalidArgument("tar entry {}: the name holds a NUL", Quote(path));
  }
  std::string out;
  out.reserve(path.size());
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (part.empty() || part == ".") {
      continue;
    }
    if (part == "..") {
      return InvalidArgument("tar entry {}: '..' in a name is refused",
                             Quote(out.empty() ? ".." : out + "/.."));
    }
    if (part.size() > NAME_MAX) {
      return InvalidArgument("tar entry {}: a component is longer than {} bytes", Quote(part),
                             NAME_MAX);
    }
    if (!out.empty()) {
      out += '/';
    }
    out += part;
  }
  return out;
}

absl::StatusOr<LayerTree> LayerTree::Create(const std::string& directory) {
  const std::string diff = JoinPath(directory, "diff");
  const std::string trash = JoinPath(directory, "trash");
  RETURN_IF_ERROR(MakeDirs(directory, 0700));
  RETURN_IF_ERROR(MakeDirs(diff, kImpliedMode));
  RETURN_IF_ERROR(MakeDirs(trash, 0700));
  ASSIGN_OR_RETURN(UniqueFd diff_fd, Open(diff, kOpenDir));
  ASSIGN_OR_RETURN(UniqueFd trash_fd, Open(trash, kOpenDir));
  return LayerTree(std::move(diff_fd), std::move(trash_fd));
}

absl::StatusOr<Place> LayerTree::Find(const std::string& path) {
  return Resolve(path, true);
}

absl::StatusOr<Place> LayerTree::FindExisting(const std::string& path) {
  return Resolve(path, false);
}

absl::StatusOr<Place> LayerTree::Resolve(const std::string& path, bool make_parents) {
  const std::string_view dir = DirName(path);
  Place place{
      .parent = root_.get(), .name = path.substr(dir.empty() ? 0 : dir.size() + 1), .path = path};
  if (dir.empty()) {
    return place;
  }
  if (!cached_.valid() || dir != cached_path_) {
    const std::string parent(dir);
    absl::StatusOr<UniqueFd> fd = OpenInRoot(root_.get(), parent, O_PATH | O_DIRECTORY);
    if (!fd.ok() && make_parents) {
      fd = MakeParents(parent);
    } else if (!fd.ok()) {
      return NotFound("{} does not exist in the layer", Quote(parent));
    }
    RETURN_IF_ERROR(fd.status());
    cached_ = *std::move(fd);
    cached_path_ = parent;
  }
  place.parent = cached_.get();
  return place;
}

absl::StatusOr<UniqueFd> LayerTree::MakeParents(const std::string& path) {
  UniqueFd at(fcntl(root_.get(), F_DUPFD_CLOEXEC, 0));
  if (!at.valid()) {
    return ErrnoStatus(errno, "duplicate the layer's descriptor");
  }
  size_t start = 0;
  while (start <= path.size()) {
    const size_t end = std::min(path.find('/', start), path.size());
    ASSIGN_OR_RETURN(at, StepInto(at.get(), path.substr(start, end - start), path.substr(0, end)));
    start = end + 1;
  }
  return at;
}

// One component on the way to an entry: a directory or a symlink to one within the layer, or made.
absl::StatusOr<UniqueFd> LayerTree::StepInto(int parent, const std::string& name,
                                             const std::string& path) {
  struct stat st = {};
  if (fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) {
      return ErrnoStatus(errno, "stat layer entry " + Quote(path));
    }
    return NewDirectory(parent, name, kImpliedMode, path);
  }
  if (S_ISDIR(st.st_mode)) {
    return OpenAt(parent, name, kOpenDir);
  }
  if (S_ISLNK(st.st_mode)) {
    absl::StatusOr<UniqueFd> target = OpenInRoot(root_.get(), path, O_PATH | O_DIRECTORY);
    if (target.ok()) {
      return target;
    }
    return InvalidArgument("tar entry below {}: that is a symlink to no directory of this layer",
                           Quote(path));
  }
  if (IsWhiteout(st)) {  // the directory of a lower layer is gone, ours begins empty
    if (unlinkat(parent, name.c_str(), 0) != 0) {
      return ErrnoStatus(errno, "replace whiteout " + Quote(path));
    }
    ASSIGN_OR_RETURN(UniqueFd fd, NewDirectory(parent, name, kImpliedMode, path));
    RETURN_IF_ERROR(SetOpaque(fd.get(), path));
    return fd;
  }
  return InvalidArgument("tar entry below {}: that is no directory", Quote(path));
}

absl::StatusOr<UniqueFd> LayerTree::NewDirectory(int parent, const std::string& name, mode_t mode,
                                                 const std::string& path) {
  if (mkdirat(parent, name.c_str(), 0700) != 0) {
    return ErrnoStatus(errno, "make directory " + Quote(path));
  }
  ++directories_made_;
  UniqueFd fd(openat(parent, name.c_str(), kOpenDir));
  if (!fd.valid()) {
    return ErrnoStatus(errno, "open directory " + Quote(path));
  }
  if (fchmod(fd.get(), mode) != 0) {  // mkdirat's mode is cut by the umask
    return ErrnoStatus(errno, "chmod directory " + Quote(path));
  }
  return fd;
}

absl::StatusOr<std::optional<struct stat>> LayerTree::Stat(const Place& place) {
  struct stat st = {};
  if (fstatat(place.parent, place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
    return st;
  }
  if (errno == ENOENT) {
    return std::nullopt;
  }
  return ErrnoStatus(errno, "stat layer entry " + Quote(place.path));
}

absl::StatusOr<struct stat> LayerTree::Displace(const Place& place) {
  ASSIGN_OR_RETURN(const std::optional<struct stat> st, Stat(place));
  if (!st) {
    return Internal("layer entry {} vanished while it was replaced", Quote(place.path));
  }
  if (S_ISDIR(st->st_mode)) {
    const std::string name = std::to_string(trashed_++);
    if (renameat(place.parent, place.name.c_str(), trash_.get(), name.c_str()) != 0) {
      return ErrnoStatus(errno, "replace directory " + Quote(place.path));
    }
    // What is cached may be inside. The descriptor itself stays open for `place`.
    cached_path_.clear();
  } else if (unlinkat(place.parent, place.name.c_str(), 0) != 0) {
    return ErrnoStatus(errno, "replace layer entry " + Quote(place.path));
  } else if (S_ISLNK(st->st_mode)) {
    cached_path_.clear();  // the cached directory may have been reached through it
  }
  return *st;
}

absl::StatusOr<int> LayerTree::MakeDirectory(const Place& place) {
  bool opaque = false;
  ASSIGN_OR_RETURN(const std::optional<struct stat> old, Stat(place));
  if (old && !S_ISDIR(old->st_mode)) {
    RETURN_IF_ERROR(Displace(place).status());
    opaque = IsWhiteout(*old);
  }
  UniqueFd fd;
  if (old && S_ISDIR(old->st_mode)) {
    ASSIGN_OR_RETURN(fd, OpenAt(place.parent, place.name, kOpenDir));
  } else {
    ASSIGN_OR_RETURN(fd, NewDirectory(place.parent, place.name, 0700, place.path));
  }
  if (opaque) {
    RETURN_IF_ERROR(SetOpaque(fd.get(), place.path));
  }
  cached_ = std::move(fd);
  cached_path_ = place.path;
  return cached_.get();
}

absl::Status LayerTree::MakeWhiteout(const Place& place) {
  if (mknodat(place.parent, place.name.c_str(), S_IFCHR, makedev(0, 0)) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus(errno, "make whiteout " + Quote(place.path));
}

absl::Status LayerTree::SetOpaque(int dir_fd, const std::string& path) {
  if (fsetxattr(dir_fd, "trusted.overlay.opaque", "y", 1, 0) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus(errno, "mark directory " + Quote(path) +
                                " opaque (the file system below the storage root must keep "
                                "trusted.* extended attributes)");
}

bool LayerTree::IsWhiteout(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

}  // namespace davit::storage
