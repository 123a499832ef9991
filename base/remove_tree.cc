// SPDX-License-Identifier: Apache-2.0
//
// RemoveTree: the tree may be hostile (a container wrote it) and thousands of levels deep, so the
// walk holds one descriptor, goes up through ".." and proves that it came out where it went in.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/file.h"
#include "base/status.h"

namespace davit {
namespace {

// Subdirectories remembered in one pass over a directory; the rest is found by the next pass.
constexpr size_t kMaxPending = 4096;
// Passes over one directory that somebody else keeps filling.
constexpr int kMaxFruitlessPasses = 16;

struct DirCloser {
  void operator()(DIR* dir) const { closedir(dir); }
};

class TreeRemover {
 public:
  explicit TreeRemover(std::string path) : path_(std::move(path)) {}

  absl::Status Run(UniqueFd parent, const std::string& name) {
    RETURN_IF_ERROR(Enter(parent.get(), name));
    while (!stack_.empty()) {
      Level& level = stack_.back();
      if (level.pending.empty() && !level.scanned) {
        RETURN_IF_ERROR(Scan(level));
      }
      if (!level.pending.empty()) {
        std::string next = std::move(level.pending.back());
        level.pending.pop_back();
        level.scanned = false;  // come back for what a pass may have missed
        const int here = current_.get();
        RETURN_IF_ERROR(Enter(here, next));
        continue;
      }
      RETURN_IF_ERROR(Leave(parent.get()));
    }
    return absl::OkStatus();
  }

 private:
  struct Level {
    std::string name;
    uint64_t device = 0;
    uint64_t inode = 0;
    std::vector<std::string> pending;  // subdirectories still to enter
    bool scanned = false;              // a pass has found no subdirectory
    int fruitless = 0;
  };

  // The path for messages; the walk itself never uses it.
  [[nodiscard]] std::string Where(const std::string& leaf = "") const {
    std::string text = path_;
    for (size_t i = 1; i < stack_.size() && text.size() < 1000; ++i) {
      text = JoinPath(text, stack_[i].name);
    }
    return leaf.empty() ? text : JoinPath(text, leaf);
  }

  absl::Status Enter(int dir_fd, const std::string& name) {
    const std::string where = stack_.empty() ? path_ : Where(name);
    ASSIGN_OR_RETURN(std::optional<UniqueFd> fd, OpenDir(dir_fd, name, where));
    if (!fd) {
      return absl::OkStatus();  // gone, or replaced by a file that the next pass removes
    }
    struct statx stx = {};
    if (statx(fd->get(), "", AT_EMPTY_PATH, STATX_INO | STATX_TYPE, &stx) != 0) {
      return ErrnoStatus(errno, "stat " + where);
    }
    const uint64_t device = DeviceOf(stx);
    // Before Linux 5.8 the device must do, which takes a btrfs subvolume for a mount.
    const bool is_mount = (stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0
                              ? (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0
                              : !stack_.empty() && device != stack_.back().device;
    if (is_mount) {
      return FailedPrecondition("remove {}: {} is a mount point; unmount it first", path_, where);
    }
    stack_.push_back({.name = name, .device = device, .inode = stx.stx_ino, .pending = {}});
    current_ = *std::move(fd);
    return absl::OkStatus();
  }

  static uint64_t DeviceOf(const struct statx& stx) {
    return (static_cast<uint64_t>(stx.stx_dev_major) << 32U) | stx.stx_dev_minor;
  }

  // Nothing if there is no directory of that name (any more).
  static absl::StatusOr<std::optional<UniqueFd>> OpenDir(int dir_fd, const std::string& name,
                                                         const std::string& where) {
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dir_fd, name.c_str(), kFlags);
    if (fd < 0 && errno == EACCES) {  // without CAP_DAC_OVERRIDE: mode 000, as overlay's work/work
      UniqueFd handle(openat(dir_fd, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      const std::string link = "/proc/self/fd/" + std::to_string(handle.get());
      if (handle.valid() && chmod(link.c_str(), 0700) == 0) {
        fd = openat(dir_fd, name.c_str(), kFlags);
      } else {
        errno = EACCES;
      }
    }
    if (fd >= 0) {
      return UniqueFd(fd);
    }
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) {
      return std::nullopt;
    }
    return ErrnoStatus(errno, "open directory " + where);
  }

  // Unlinks all that is no directory and remembers the directories.
  absl::Status Scan(Level& level) {
    UniqueFd copy(openat(current_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::unique_ptr<DIR, DirCloser> dir(copy.valid() ? fdopendir(copy.get()) : nullptr);
    if (!dir) {
      return ErrnoStatus(errno, "list directory " + Where());
    }
    (void)copy.Release();
    errno = 0;
    while (const dirent* entry = readdir(dir.get())) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") {
        RETURN_IF_ERROR(RemoveOrRemember(level, name, entry->d_type == DT_DIR));
        if (level.pending.size() >= kMaxPending) {
          break;
        }
      }
      errno = 0;
    }
    if (errno != 0 && level.pending.size() < kMaxPending) {
      return ErrnoStatus(errno, "list directory " + Where());
    }
    level.scanned = level.pending.empty();
    return absl::OkStatus();
  }

  absl::Status RemoveOrRemember(Level& level, const std::string& name, bool is_dir) {
    if (!is_dir) {
      if (unlinkat(current_.get(), name.c_str(), 0) == 0 || errno == ENOENT) {
        return absl::OkStatus();
      }
      if (errno == EBUSY) {
        return FailedPrecondition("remove {}: {} is a mount point; unmount it first", path_,
                                  Where(name));
      }
      if (errno != EISDIR) {
        return ErrnoStatus(errno, "remove " + Where(name));
      }
    }
    level.pending.push_back(name);
    return absl::OkStatus();
  }

  // The current directory is empty: goes up and removes it.
  absl::Status Leave(int top_parent) {
    if (stack_.size() == 1) {
      return RemoveDir(top_parent);
    }
    UniqueFd up(openat(current_.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!up.valid()) {
      return ErrnoStatus(errno, "open the parent of " + Where());
    }
    struct statx stx = {};
    if (statx(up.get(), "", AT_EMPTY_PATH, STATX_INO, &stx) != 0) {
      return ErrnoStatus(errno, "stat the parent of " + Where());
    }
    const Level& above = stack_[stack_.size() - 2];
    if (stx.stx_ino != above.inode || DeviceOf(stx) != above.device) {
      return FailedPrecondition("remove {}: {} was moved away meanwhile", path_, Where());
    }
    current_ = std::move(up);
    return RemoveDir(current_.get());
  }

  absl::Status RemoveDir(int parent_fd) {
    Level& level = stack_.back();
    if (unlinkat(parent_fd, level.name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
      stack_.pop_back();
      return absl::OkStatus();
    }
    const int error = errno;
    if ((error == ENOTEMPTY || error == EEXIST) && level.fruitless < kMaxFruitlessPasses) {
      return EnterAgain(parent_fd);
    }
    if (error == EBUSY) {
      return FailedPrecondition("remove {}: {} is in use as a mount point; unmount it first", path_,
                                Where());
    }
    return ErrnoStatus(error, "remove directory " + Where());
  }

  // Somebody filled the directory after its last pass.
  absl::Status EnterAgain(int parent_fd) {
    const Level last = std::move(stack_.back());
    stack_.pop_back();
    const size_t depth = stack_.size();
    RETURN_IF_ERROR(Enter(parent_fd, last.name));
    if (stack_.size() > depth) {
      stack_.back().fruitless = last.fruitless + 1;
    }
    return absl::OkStatus();
  }

  std::string path_;
  std::vector<Level> stack_;
  UniqueFd current_;  // the directory at the top of the stack
};

}  // namespace

absl::Status RemoveTree(const std::string& path) {
  std::string clean = path;
  while (clean.size() > 1 && clean.back() == '/') {
    clean.pop_back();
  }
  const size_t slash = clean.rfind('/');
  const std::string name = slash == std::string::npos ? clean : clean.substr(slash + 1);
  const std::string dir = slash == std::string::npos ? "."
                          : slash == 0               ? "/"
                                                     : clean.substr(0, slash);
  if (name.empty() || name == "." || name == "..") {
    return InvalidArgument("remove {}: the path names no entry of a directory", path);
  }
  UniqueFd parent(open(dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!parent.valid()) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, "open directory " + dir);
  }
  struct stat st = {};
  if (fstatat(parent.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, "stat " + clean);
  }
  if (S_ISDIR(st.st_mode)) {
    return TreeRemover(clean).Run(std::move(parent), name);
  }
  if (unlinkat(parent.get(), name.c_str(), 0) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  if (errno == EBUSY) {
    return FailedPrecondition("remove {}: it is a mount point; unmount it first", clean);
  }
  return ErrnoStatus(errno, "remove " + clean);
}

}  // namespace davit
