// SPDX-License-Identifier: Apache-2.0
#include "base/rooted_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"

namespace davit {
namespace {

// The kernel gives up with EAGAIN when something on the way is renamed meanwhile.
constexpr int kMaxTries = 128;
// Symlinks to a directory that does not exist yet, followed while making it.
constexpr int kMaxDangling = 40;

absl::Status PathError(int error, const std::string& path) {
  const std::string what = "open '" + Printable(path) + "' within its root";
  switch (error) {
    case EXDEV:
      return InvalidArgument("{}: the path leads out of the root", what);
    case ELOOP:
    case ENAMETOOLONG:
      return InvalidArgument("{}: {}", what, ErrnoText(error));
    case ENOTDIR:
      return FailedPrecondition("{}: {}", what, ErrnoText(error));
    case ENOSYS:
      return Unimplemented("{}: the kernel lacks openat2; Linux 5.6 or newer is needed", what);
    default:
      return ErrnoStatus(error, what);
  }
}

// Returns -1 and errno as open(2) does.
int OpenAt2(int dir_fd, const char* path, int flags, mode_t mode, uint64_t resolve) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(static_cast<unsigned>(flags | O_CLOEXEC));
  how.mode = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? mode & 07777U : 0;
  how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  for (int tries = 0; tries < kMaxTries; ++tries) {
    const auto fd = static_cast<int>(syscall(SYS_openat2, dir_fd, path, &how, sizeof how));
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) {
      return fd;
    }
  }
  return -1;
}

absl::StatusOr<UniqueFd> OpenResolved(int root_fd, const std::string& path, int flags, mode_t mode,
                                      uint64_t resolve) {
  if (path.find('\0') != std::string::npos) {
    return InvalidArgument("path '{}' holds a NUL byte", Printable(path));
  }
  std::string_view relative = path;
  while (!relative.empty() && relative.front() == '/') {
    relative.remove_prefix(1);
  }
  const std::string name = relative.empty() ? "." : std::string(relative);
  UniqueFd fd(OpenAt2(root_fd, name.c_str(), flags, mode, resolve));
  if (!fd.valid()) {
    return PathError(errno, path);
  }
  return fd;
}

constexpr int kDirFlags = O_PATH | O_DIRECTORY;

// The text of a symlink, or "" if the name is none.
std::string LinkTarget(int dir_fd, const std::string& name) {
  std::array<char, PATH_MAX> target = {};
  const ssize_t size = readlinkat(dir_fd, name.c_str(), target.data(), target.size());
  return size > 0 ? std::string(target.data(), static_cast<size_t>(size)) : "";
}

absl::StatusOr<std::string> KernelPath(int fd) {
  const std::string link = "/proc/thread-self/fd/" + std::to_string(fd);
  std::array<char, PATH_MAX> target = {};
  const ssize_t size = readlink(link.c_str(), target.data(), target.size());
  if (size < 0 || static_cast<size_t>(size) == target.size()) {
    return ErrnoStatus(size < 0 ? errno : ENAMETOOLONG, "read " + link);
  }
  return std::string(target.data(), static_cast<size_t>(size));
}

// What directories that are made are like.
struct NewDirs {
  mode_t mode;
  Owner owner;
};

absl::Status MakeDirHere(int parent_fd, const std::string& name, const NewDirs& like,
                         const std::string& path) {
  if (mkdirat(parent_fd, name.c_str(), like.mode) != 0) {
    // Somebody else made it just now, or a dangling symlink stands there: the caller looks again.
    return errno == EEXIST
               ? absl::OkStatus()
               : ErrnoStatus(errno, "make directory '" + Printable(path) + "' within its root");
  }
  // Through the descriptor, since the umask may have taken bits away.
  UniqueFd made(openat(parent_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  // What belongs to root is not given away: so this works for other callers, too.
  const bool give = like.owner.uid != 0 || like.owner.gid != 0;
  if (made.valid() && ((give && fchown(made.get(), like.owner.uid, like.owner.gid) != 0) ||
                       fchmod(made.get(), like.mode) != 0)) {
    return ErrnoStatus(errno,
                       "set owner and mode of directory '" + Printable(path) + "' within its root");
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> MakeDirs(int root_fd, const std::string& path, const NewDirs& like,
                                  int dangling) {
  ASSIGN_OR_RETURN(UniqueFd current, OpenInRoot(root_fd, "", kDirFlags));
  std::string prefix;
  for (const std::string& part : Split(path, '/')) {
    if (part.empty() || part == ".") {
      continue;
    }
    // Always from the root: a symlink or ".." on the way means what it means there.
    const std::string next = prefix + "/" + part;
    absl::StatusOr<UniqueFd> there = OpenInRoot(root_fd, next, kDirFlags);
    if (absl::IsNotFound(there.status())) {
      RETURN_IF_ERROR(MakeDirHere(current.get(), part, like, next));
      there = OpenInRoot(root_fd, next, kDirFlags);
    }
    if (absl::IsNotFound(there.status()) && dangling < kMaxDangling) {
      const std::string target = LinkTarget(current.get(), part);
      if (!target.empty()) {
        there = MakeDirs(root_fd, target[0] == '/' ? target : prefix + "/" + target, like,
                         dangling + 1);
      }
    }
    if (!there.ok()) {
      return there.status();
    }
    current = *std::move(there);
    prefix = next;
  }
  return current;
}

}  // namespace

absl::StatusOr<UniqueFd> OpenInRoot(int root_fd, const std::string& path, int flags, mode_t mode) {
  return OpenResolved(root_fd, path, flags, mode, RESOLVE_IN_ROOT);
}

absl::StatusOr<UniqueFd> OpenBeneath(int dir_fd, const std::string& path, int flags, mode_t mode) {
  return OpenResolved(dir_fd, path, flags, mode, RESOLVE_BENEATH);
}

absl::StatusOr<UniqueFd> MakeDirsInRoot(int root_fd, const std::string& path, mode_t mode,
                                        const Owner& owner) {
  return MakeDirs(root_fd, path, {.mode = mode, .owner = owner}, 0);
}

absl::StatusOr<std::string> PathInRoot(int root_fd, int fd) {
  ASSIGN_OR_RETURN(const std::string root, KernelPath(root_fd));
  ASSIGN_OR_RETURN(const std::string path, KernelPath(fd));
  if (path == root || root == "/") {
    return path == root ? "/" : path;
  }
  if (!path.starts_with(root + "/")) {
    return Internal("'{}' does not lie within its root '{}'", Printable(path), Printable(root));
  }
  return path.substr(root.size());
}

absl::StatusOr<std::string> ReadFileInRoot(int root_fd, const std::string& path, size_t max_bytes) {
  // Looked at before it is opened for reading: the mere opening of a device can have effects.
  ASSIGN_OR_RETURN(UniqueFd handle, OpenInRoot(root_fd, path, O_PATH));
  struct stat st = {};
  if (fstat(handle.get(), &st) != 0) {
    return ErrnoStatus(errno, "stat '" + Printable(path) + "' within its root");
  }
  if (!S_ISREG(st.st_mode)) {
    return FailedPrecondition("read '{}' within its root: not a regular file", Printable(path));
  }
  const std::string link = "/proc/thread-self/fd/" + std::to_string(handle.get());
  UniqueFd fd(open(link.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd.valid()) {
    return ErrnoStatus(errno, "open '" + Printable(path) + "' within its root");
  }
  return ReadFd(fd.get(), max_bytes, "'" + Printable(path) + "' within its root");
}

}  // namespace davit
