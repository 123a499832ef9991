// SPDX-License-Identifier: Apache-2.0
#include "storage/tree_usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "base/status.h"

namespace davit::storage {
namespace {

constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr int kTries = 3;

struct DirCloser {
  void operator()(DIR* dir) const { closedir(dir); }
};

class Walk {
 public:
  explicit Walk(std::string path) : path_(std::move(path)) {}

  absl::StatusOr<TreeUsage> Run() {
    ASSIGN_OR_RETURN(UniqueFd root, Open(path_, kOpenDir));
    RETURN_IF_ERROR(Enter(std::move(root)));
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.pending.empty()) {
        RETURN_IF_ERROR(Leave());
        continue;
      }
      const std::string name = std::move(level.pending.back());
      level.pending.pop_back();
      UniqueFd child(openat(here_.get(), name.c_str(), kOpenDir));
      if (child.valid()) {
        RETURN_IF_ERROR(Enter(std::move(child)));
      }  // else it is gone
    }
    return usage_;
  }

 private:
  struct Level {
    dev_t device;
    ino_t inode;
    std::vector<std::string> pending;  // subdirectories still to enter
  };

  void Count(const struct stat& st) {
    if (st.st_nlink > 1 && !S_ISDIR(st.st_mode) && !linked_.insert(st.st_ino).second) {
      return;
    }
    usage_.bytes += static_cast<uint64_t>(st.st_blocks) * 512;
    ++usage_.inodes;
  }

  absl::Status Enter(UniqueFd dir) {
    struct stat st = {};
    if (fstat(dir.get(), &st) != 0) {
      return ErrnoStatus(errno, "stat a directory below " + path_);
    }
    if (!levels_.empty() && st.st_dev != levels_.front().device) {
      return absl::OkStatus();  // another file system
    }
    Count(st);
    levels_.push_back({.device = st.st_dev, .inode = st.st_ino, .pending = {}});
    here_ = std::move(dir);
    return List(levels_.back());
  }

  absl::Status List(Level& level) {
    UniqueFd copy(openat(here_.get(), ".", kOpenDir));
    const std::unique_ptr<DIR, DirCloser> dir(copy.valid() ? fdopendir(copy.get()) : nullptr);
    if (!dir) {
      return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, "list below " + path_);
    }
    (void)copy.Release();
    while (const dirent* entry = readdir(dir.get())) {
      const std::string name = entry->d_name;
      struct stat st = {};
      if (name == "." || name == ".." ||
          fstatat(here_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        continue;
      }
      if (S_ISDIR(st.st_mode)) {
        level.pending.push_back(name);
      } else {
        Count(st);
      }
    }
    return absl::OkStatus();
  }

  absl::Status Leave() {
    levels_.pop_back();
    if (levels_.empty()) {
      return absl::OkStatus();
    }
    UniqueFd up(openat(here_.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat st = {};
    if (!up.valid() || fstat(up.get(), &st) != 0 || st.st_ino != levels_.back().inode ||
        st.st_dev != levels_.back().device) {
      return Unavailable("measure {}: directories are being moved; try again later", path_);
    }
    here_ = std::move(up);
    return absl::OkStatus();
  }

  const std::string path_;
  TreeUsage usage_;
  std::set<ino_t> linked_;
  std::vector<Level> levels_;
  UniqueFd here_;
};

}  // namespace

absl::StatusOr<TreeUsage> MeasureTree(const std::string& path) {
  absl::StatusOr<TreeUsage> usage = Walk(path).Run();
  for (int i = 1; i < kTries && usage.status().code() == absl::StatusCode::kUnavailable; ++i) {
    usage = Walk(path).Run();
  }
  return usage;
}

}  // namespace davit::storage
