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

absl::StatusOr<LayerTree> LayerTree::Create(int directory_fd, OpaqueFunction set_opaque) {
  UniqueFd fds[2];
  const char* const names[] = {"diff", "trash"};
  for (size_t i = 0; i < 2; ++i) {
    if (mkdirat(directory_fd, names[i], kImpliedMode) != 0) {
      return ErrnoStatus(errno, std::string("make the layer's directory ") + names[i]);
    }
    ASSIGN_OR_RETURN(fds[i], OpenAt(directory_fd, names[i], kOpenDir));
    // What an administrator gave the directory above to hand on is not the layer's.
    (void)fremovexattr(fds[i].get(), "system.posix_acl_default");
    (void)fremovexattr(fds[i].get(), "system.posix_acl_access");
    if (fchmod(fds[i].get(), kImpliedMode) != 0 || fchown(fds[i].get(), 0, 0) != 0) {
      return ErrnoStatus(errno, std::string("prepare the layer's directory ") + names[i]);
    }
  }
  return LayerTree(std::move(fds[0]), std::move(fds[1]), std::move(set_opaque));
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
    ASSIGN_OR_RETURN(place.root_group, IsRootGroup(root_.get()));
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
    cached_group_.reset();
  }
  place.parent = cached_.get();
  if (!cached_group_) {
    ASSIGN_OR_RETURN(cached_group_, IsRootGroup(cached_.get()));
  }
  place.root_group = *cached_group_;
  return place;
}

absl::StatusOr<bool> LayerTree::IsRootGroup(int dir_fd) {
  struct stat st = {};
  if (fstat(dir_fd, &st) != 0) {
    return ErrnoStatus(errno, "stat a directory of the layer");
  }
  return st.st_gid == 0;
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
    return NewParent(parent, name, path);
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
    ASSIGN_OR_RETURN(UniqueFd fd, NewParent(parent, name, path));
    RETURN_IF_ERROR(MarkOpaque(fd.get(), path));
    return fd;
  }
  return InvalidArgument("tar entry below {}: that is no directory", Quote(path));
}

absl::StatusOr<UniqueFd> LayerTree::NewParent(int parent, const std::string& name,
                                              const std::string& path) {
  if (mkdirat(parent, name.c_str(), kImpliedMode) != 0) {
    return ErrnoStatus(errno, "make directory " + Quote(path));
  }
  ++directories_made_;
  implied_.insert(path);
  UniqueFd fd(openat(parent, name.c_str(), kOpenDir));
  if (!fd.valid()) {
    return ErrnoStatus(errno, "open directory " + Quote(path));
  }
  // A set-group-ID directory above hands both on.
  if (fchown(fd.get(), 0, 0) != 0 || fchmod(fd.get(), kImpliedMode) != 0) {
    return ErrnoStatus(errno, "set owner and mode of directory " + Quote(path));
  }
  return fd;
}

void LayerTree::ForgetImplied(const std::string& path) {
  implied_.erase(path);
  const std::string below = path + "/";
  auto it = implied_.lower_bound(below);
  while (it != implied_.end() && it->starts_with(below)) {
    it = implied_.erase(it);
  }
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
  // Files with content too: the layer's recipe may need it (storage/recipe/displaced.h).
  if (S_ISDIR(st->st_mode) || (S_ISREG(st->st_mode) && st->st_size > 0)) {
    const std::string name = std::to_string(trashed_++);
    if (renameat(place.parent, place.name.c_str(), trash_.get(), name.c_str()) != 0) {
      return ErrnoStatus(errno, "replace layer entry " + Quote(place.path));
    }
    // What is cached may be inside. The descriptor itself stays open for `place`.
    cached_path_.clear();
    ForgetImplied(place.path);
  } else if (unlinkat(place.parent, place.name.c_str(), 0) != 0) {
    return ErrnoStatus(errno, "replace layer entry " + Quote(place.path));
  } else if (S_ISLNK(st->st_mode)) {
    cached_path_.clear();  // the cached directory may have been reached through it
  }
  return *st;
}

absl::StatusOr<LayerTree::MadeDirectory> LayerTree::MakeDirectory(const Place& place) {
  const char* name = place.name.c_str();
  bool opaque = false;
  bool fresh = mkdirat(place.parent, name, 0700) == 0;
  if (!fresh && errno != EEXIST) {
    return ErrnoStatus(errno, "make directory " + Quote(place.path));
  }
  if (!fresh) {
    ASSIGN_OR_RETURN(const std::optional<struct stat> old, Stat(place));
    if (old && !S_ISDIR(old->st_mode)) {
      RETURN_IF_ERROR(Displace(place).status());
      opaque = IsWhiteout(*old);
      if (mkdirat(place.parent, name, 0700) != 0) {
        return ErrnoStatus(errno, "make directory " + Quote(place.path));
      }
      fresh = true;
    }
  }
  directories_made_ += fresh ? 1 : 0;
  implied_.erase(place.path);
  UniqueFd fd(openat(place.parent, name, kOpenDir));
  if (!fd.valid()) {
    return ErrnoStatus(errno, "open directory " + Quote(place.path));
  }
  if (opaque) {
    RETURN_IF_ERROR(MarkOpaque(fd.get(), place.path));
  }
  cached_ = std::move(fd);
  cached_path_ = place.path;
  cached_group_.reset();
  return MadeDirectory{.fd = cached_.get(), .fresh = fresh};
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
