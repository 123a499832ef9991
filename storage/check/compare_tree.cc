// SPDX-License-Identifier: Apache-2.0
#include "storage/check/compare_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/container/flat_hash_set.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/rooted_path.h"
#include "base/status.h"
#include "base/text.h"
#include "storage/layer_tree.h"
#include "storage/tar_reader.h"

namespace davit::storage {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxList = 20;
constexpr size_t kMaxSuspects = 10'000;

size_t Hash(std::string_view path) {
  return std::hash<std::string_view>()(path);
}

std::optional<mode_t> TypeBits(TarEntry::Type type) {
  switch (type) {
    case TarEntry::Type::kFile:
      return S_IFREG;
    case TarEntry::Type::kDirectory:
      return S_IFDIR;
    case TarEntry::Type::kSymlink:
      return S_IFLNK;
    case TarEntry::Type::kCharDevice:
      return S_IFCHR;
    case TarEntry::Type::kBlockDevice:
      return S_IFBLK;
    case TarEntry::Type::kFifo:
      return S_IFIFO;
    case TarEntry::Type::kHardLink:
      return std::nullopt;  // that of its target
  }
  return std::nullopt;
}

class Comparer {
 public:
  Comparer(TarReader& reader, std::string diff, UniqueFd root)
      : reader_(reader), diff_(std::move(diff)), root_(std::move(root)) {}

  absl::StatusOr<TreeDifferences> Run() {
    while (true) {
      ASSIGN_OR_RETURN(const std::optional<TarEntry> entry, reader_.Next());
      if (!entry) {
        break;
      }
      RETURN_IF_ERROR(Look(*entry));
    }
    TreeDifferences result;
    const auto add = [&result](const std::string& text) {
      if (++result.count <= kMaxList) {
        result.list.push_back(text);
      }
    };
    for (const auto& [path, text] : suspects_) {
      add("'" + Printable(path) + "' " + text);
    }
    RETURN_IF_ERROR(FindUnknown(add));
    return result;
  }

 private:
  absl::Status Look(const TarEntry& entry) {
    ASSIGN_OR_RETURN(std::string path, NormalizeTarPath(entry.path));
    const size_t slash = path.rfind('/');
    const std::string name = path.substr(slash == std::string::npos ? 0 : slash + 1);
    if (path.starts_with(".wh.") || path.find("/.wh.") != std::string::npos) {
      if (name.starts_with(".wh.") && !name.starts_with(".wh..wh.")) {
        const std::string parent = path.substr(0, path.size() - name.size());
        Know(RealPath(OpenPath(parent)).value_or(parent) + "/" + name.substr(4));
      }
      return absl::OkStatus();
    }
    // A later entry replaces an earlier one of its name, with all that lies below it.
    suspects_.erase(path);
    if (entry.type != TarEntry::Type::kDirectory) {
      const auto below = suspects_.lower_bound(path + "/");
      auto end = below;
      while (end != suspects_.end() && end->first.starts_with(path + "/")) {
        ++end;
      }
      suspects_.erase(below, end);
    }
    ASSIGN_OR_RETURN(const std::string difference, Difference(entry, path));
    if (!difference.empty() && suspects_.size() < kMaxSuspects) {
      suspects_[path] = difference;
    }
    return absl::OkStatus();
  }

  // Where it lies below diff/: entries may be named through symlinks.
  std::optional<std::string> RealPath(const absl::StatusOr<UniqueFd>& fd) const {
    const auto link = [](int of) {
      std::error_code error;
      return fs::read_symlink("/proc/self/fd/" + std::to_string(of), error).string();
    };
    const std::string top = link(root_.get());
    const std::string path = fd.ok() ? link(fd->get()) : "";
    if (!path.starts_with(top)) {
      return std::nullopt;
    }
    return path.size() == top.size() ? "" : path.substr(top.size() + 1);
  }

  // The path and the directories above it belong to the layer.
  void Know(std::string_view path) {
    path.remove_prefix(path.starts_with('/') ? 1 : 0);
    known_.insert(Hash(path));
    for (size_t end = path.rfind('/'); end != std::string_view::npos && end > 0;
         end = path.rfind('/', end - 1)) {
      if (!known_.insert(Hash(path.substr(0, end))).second) {
        break;
      }
    }
  }

  // What is wrong; empty if nothing is.
  absl::StatusOr<std::string> Difference(const TarEntry& entry, const std::string& path) {
    const absl::StatusOr<UniqueFd> fd = OpenPath(path);
    Know(RealPath(fd).value_or(path));
    if (!fd.ok()) {
      return std::string("is missing");
    }
    struct stat st = {};
    if (fstat(fd->get(), &st) != 0) {
      return ErrnoStatus(errno, "stat layer entry '" + Printable(path) + "'");
    }
    if (entry.type == TarEntry::Type::kHardLink) {
      return LinkDifference(entry, st);
    }
    if ((st.st_mode & S_IFMT) != TypeBits(entry.type)) {
      return std::string("is of another type");
    }
    std::string text = OwnerDifference(entry, st);
    if (text.empty()) {
      text = KindDifference(entry, st, fd->get());
    }
    return text.empty() ? XattrDifference(entry, fd->get()) : text;
  }

  absl::StatusOr<UniqueFd> OpenPath(const std::string& path) const {
    if (path.empty()) {
      return OpenInRoot(root_.get(), ".", O_PATH);
    }
    return OpenInRoot(root_.get(), path, O_PATH | O_NOFOLLOW);
  }

  static std::string OwnerDifference(const TarEntry& entry, const struct stat& st) {
    if (st.st_uid != entry.uid || st.st_gid != entry.gid) {
      return fmt::format("has owner {}:{} instead of {}:{}", st.st_uid, st.st_gid, entry.uid,
                         entry.gid);
    }
    if (!S_ISLNK(st.st_mode) && (st.st_mode & 07777U) != entry.mode) {
      return fmt::format("has mode {:04o} instead of {:04o}", st.st_mode & 07777U, entry.mode);
    }
    return "";
  }

  static std::string KindDifference(const TarEntry& entry, const struct stat& st, int fd) {
    if (S_ISREG(st.st_mode) && static_cast<uint64_t>(st.st_size) != entry.size) {
      return fmt::format("has {} bytes instead of {}", st.st_size, entry.size);
    }
    if ((S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) && st.st_rdev != entry.device) {
      return fmt::format("is device {}:{} instead of {}:{}", major(st.st_rdev), minor(st.st_rdev),
                         major(entry.device), minor(entry.device));
    }
    if (S_ISLNK(st.st_mode)) {
      std::string target(static_cast<size_t>(st.st_size) + 1, '\0');
      const ssize_t size = readlinkat(fd, "", target.data(), target.size());
      target.resize(size < 0 ? 0 : static_cast<size_t>(size));
      if (target != entry.link) {
        return "leads to '" + Printable(target) + "' instead of '" + Printable(entry.link) + "'";
      }
    }
    // File systems keep times as finely as they can; the second must be right on all of them.
    if (st.st_mtim.tv_sec != entry.mtime.tv_sec) {
      return fmt::format("was modified at {} instead of {}", st.st_mtim.tv_sec, entry.mtime.tv_sec);
    }
    return "";
  }

  absl::StatusOr<std::string> LinkDifference(const TarEntry& entry, const struct stat& st) const {
    ASSIGN_OR_RETURN(const std::string target, NormalizeTarPath(entry.link));
    const absl::StatusOr<UniqueFd> fd = OpenPath(target);
    struct stat other = {};
    if (!fd.ok() || fstat(fd->get(), &other) != 0 || other.st_ino != st.st_ino) {
      return "is no link to '" + Printable(target) + "'";
    }
    return std::string();
  }

  // Attributes that applying a layer keeps at all costs or wherever it can.
  static std::string XattrDifference(const TarEntry& entry, int fd) {
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    for (const auto& [name, value] : entry.xattrs) {
      if (name != "security.capability" && !name.starts_with("user.")) {
        continue;
      }
      std::string now(value.size() + 1, '\0');
      const ssize_t size = getxattr(link.c_str(), name.c_str(), now.data(), now.size());
      const bool lacks = size < 0 && (errno == ENODATA || errno == ENOTSUP || errno == EPERM);
      if (lacks && name != "security.capability") {
        continue;  // the file system, or the type of file, has none of them
      }
      now.resize(size < 0 ? 0 : static_cast<size_t>(size));
      // The kernel rewrites capabilities to a newer version.
      if (size < 0 || (name != "security.capability" && now != value)) {
        return "has another attribute " + Printable(name);
      }
    }
    return "";
  }

  // What is in the directory without having come with the layer.
  absl::Status FindUnknown(const std::function<void(const std::string&)>& add) const {
    std::error_code error;
    for (fs::recursive_directory_iterator it(diff_, error), end; !error && it != end;
         it.increment(error)) {
      const std::string& path = it->path().native();
      const std::string_view inside = std::string_view(path).substr(diff_.size() + 1);
      if (!known_.contains(Hash(inside))) {
        add("'" + Printable(inside) + "' is not of this layer");
        if (it->is_directory(error) && !it->is_symlink(error)) {
          it.disable_recursion_pending();
        }
      }
    }
    return error ? Internal("read {}: {}", diff_, error.message()) : absl::OkStatus();
  }

  TarReader& reader_;
  const std::string diff_;
  const UniqueFd root_;
  absl::flat_hash_set<size_t> known_;
  std::map<std::string, std::string> suspects_;
};

}  // namespace

absl::StatusOr<TreeDifferences> CompareTree(ByteSource& tar, const std::string& directory) {
  const std::string diff = JoinPath(directory, "diff");
  ASSIGN_OR_RETURN(UniqueFd root, Open(diff, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  ASSIGN_OR_RETURN(const std::unique_ptr<TarReader> reader, TarReader::Create(tar));
  ASSIGN_OR_RETURN(TreeDifferences differences, Comparer(*reader, diff, std::move(root)).Run());
  // The reader stops at the end marker; the digest is of what follows it, too.
  while (true) {
    ASSIGN_OR_RETURN(const std::span<const uint8_t> bytes, tar.Next());
    if (bytes.empty()) {
      return differences;
    }
  }
}

}  // namespace davit::storage
