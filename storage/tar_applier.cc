// SPDX-License-Identifier: Apache-2.0
#include "storage/tar_applier.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string_view>

#include "base/fd.h"
#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "storage/entry_metadata.h"
#include "storage/implied_dirs.h"
#include "storage/layer_flags.h"
#include "storage/layer_tree.h"
#include "storage/tar_reader.h"

namespace davit::storage {
namespace {

constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kWhiteoutMetaPrefix = ".wh..wh.";
constexpr std::string_view kOpaqueMarker = ".wh..wh..opq";

constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr mode_t kPermissions = 0777;

struct LastTouch {
  timespec mtime = {};
  std::string default_acl;
};

class Applier {
 public:
  Applier(TarReader& reader, LayerTree tree, int directory_fd, const ApplyLimits& limits)
      : reader_(reader), tree_(std::move(tree)), directory_fd_(directory_fd), limits_(limits) {}

  absl::StatusOr<ApplyResult> Run() {
    while (true) {
      ASSIGN_OR_RETURN(std::optional<TarEntry> entry, reader_.Next());
      if (!entry) {
        break;
      }
      RETURN_IF_ERROR(Apply(*entry));
      RETURN_IF_ERROR(CheckFiles());
    }
    RETURN_IF_ERROR(FinishDirectories());
    if (!tree_.implied().empty()) {
      result_.flags |= kHasImplied;
      RETURN_IF_ERROR(WriteImpliedDirs(directory_fd_, tree_.implied()));
    }
    result_.files = Files();
    return result_;
  }

 private:
  absl::Status Apply(const TarEntry& entry) {
    ASSIGN_OR_RETURN(const std::string path, NormalizeTarPath(entry.path));
    if (path.empty()) {
      return ApplyRoot(entry);
    }
    ASSIGN_OR_RETURN(const bool done, ApplyMarker(path));
    if (done) {
      return absl::OkStatus();
    }
    switch (entry.type) {
      case TarEntry::Type::kFile:
        return ApplyFile(entry, path);
      case TarEntry::Type::kDirectory:
        return ApplyDirectory(entry, path);
      case TarEntry::Type::kSymlink:
        return ApplySymlink(entry, path);
      case TarEntry::Type::kHardLink:
        return ApplyHardLink(entry, path);
      case TarEntry::Type::kCharDevice:
      case TarEntry::Type::kBlockDevice:
      case TarEntry::Type::kFifo:
        return ApplyNode(entry, path);
    }
    return Internal("unknown type of tar entry");
  }

  absl::Status ApplyRoot(const TarEntry& entry) {
    if (entry.type != TarEntry::Type::kDirectory) {
      return InvalidArgument("tar entry '{}' would replace the root of the layer by a file",
                             Printable(entry.path));
    }
    result_.flags |= kHasRootEntry;
    Remember("", entry);
    tree_.ForgetGroup();
    return SetMetadata(tree_.root(), entry, "/", {});
  }

  // Names that begin with ".wh." are instructions. True if the entry was one.
  absl::StatusOr<bool> ApplyMarker(const std::string& path) {
    size_t start = 0;
    while (start <= path.size()) {
      const size_t end = std::min(path.find('/', start), path.size());
      const std::string_view part = std::string_view(path).substr(start, end - start);
      const bool last = end == path.size();
      if (last && part == kOpaqueMarker) {
        RETURN_IF_ERROR(ApplyOpaque(path));
        return true;
      }
      if (part.starts_with(kWhiteoutMetaPrefix)) {
        return true;  // bookkeeping of aufs, of no use to others
      }
      if (part.starts_with(kWhiteoutPrefix)) {
        RETURN_IF_ERROR(
            last ? ApplyWhiteout(path)
                 : InvalidArgument("tar entry '{}' lies below a whiteout", Printable(path)));
        return true;
      }
      start = end + 1;
    }
    return false;
  }

  absl::Status ApplyOpaque(const std::string& path) {
    ASSIGN_OR_RETURN(const Place place, tree_.Find(path));
    if (place.parent == tree_.root()) {
      result_.flags |= kOpaqueRoot;
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const UniqueFd dir, OpenAt(place.parent, ".", O_RDONLY | O_DIRECTORY));
    return tree_.MarkOpaque(dir.get(), path);
  }

  absl::Status ApplyWhiteout(const std::string& path) {
    ASSIGN_OR_RETURN(Place place, tree_.Find(path));
    place.name = place.name.substr(kWhiteoutPrefix.size());
    if (place.name.empty() || place.name == "." || place.name == "..") {
      return InvalidArgument("tar entry '{}' is a whiteout of no name", Printable(path));
    }
    ASSIGN_OR_RETURN(const std::optional<struct stat> old, LayerTree::Stat(place));
    if (!old) {
      result_.flags |= kHasWhiteouts;
      ++made_;
      return LayerTree::MakeWhiteout(place);
    }
    // A whiteout is about the layers below: what this layer itself brings stays.
    if (S_ISDIR(old->st_mode)) {
      ASSIGN_OR_RETURN(const UniqueFd dir,
                       OpenAt(place.parent, place.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      return tree_.MarkOpaque(dir.get(), path);
    }
    return absl::OkStatus();
  }

  absl::Status ApplyDirectory(const TarEntry& entry, const std::string& path) {
    ASSIGN_OR_RETURN(const Place place, tree_.Find(path));
    // MakeDirectory closes the place's parent.
    const FreshFile fresh{.owner_is_roots = place.root_group, .mode_is_set = false};
    ASSIGN_OR_RETURN(const LayerTree::MadeDirectory made, tree_.MakeDirectory(place));
    Remember(path, entry);
    tree_.ForgetGroup();
    return SetMetadata(made.fd, entry, path, made.fresh ? fresh : FreshFile());
  }

  // What of a directory is set when everything in it is made.
  void Remember(const std::string& path, const TarEntry& entry) {
    const std::string* acl = FindDefaultAcl(entry);
    directories_[path] = {.mtime = entry.mtime, .default_acl = acl == nullptr ? "" : *acl};
  }

  absl::Status ApplyFile(const TarEntry& entry, const std::string& path) {
    ASSIGN_OR_RETURN(const Place place, tree_.Find(path));
    constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const mode_t mode = entry.mode & kPermissions;
    UniqueFd fd(openat(place.parent, place.name.c_str(), kFlags, mode));
    if (!fd.valid() && errno == EEXIST) {
      RETURN_IF_ERROR(Displace(place));
      fd.Reset(openat(place.parent, place.name.c_str(), kFlags, mode));
    }
    if (!fd.valid()) {
      return EntryError(errno, "create", path);
    }
    ++made_;
    RETURN_IF_ERROR(WriteData(fd.get(), entry, path));
    RETURN_IF_ERROR(SetMetadata(
        fd.get(), entry, path,
        {.owner_is_roots = place.root_group, .mode_is_set = (entry.mode & ~kPermissions) == 0}));
    return SetTimes(fd.get(), entry, path);
  }

  absl::Status WriteData(int fd, const TarEntry& entry, const std::string& path) {
    uint64_t end = 0;
    while (entry.size > 0) {
      ASSIGN_OR_RETURN(const std::optional<TarBlock> block, reader_.NextBlock());
      if (!block) {
        break;
      }
      if (block->offset > entry.size || block->bytes.size() > entry.size - block->offset) {
        return InvalidArgument("tar entry '{}' has data beyond its size", Printable(path));
      }
      result_.bytes += block->bytes.size();
      if (result_.bytes > limits_.max_bytes) {
        return ResourceExhausted("layer unpacks to more than the limit of {} bytes",
                                 limits_.max_bytes);
      }
      RETURN_IF_ERROR(WriteAt(fd, *block, path));
      end = block->offset + block->bytes.size();
    }
    if (end < entry.size && ftruncate(fd, static_cast<off_t>(entry.size)) != 0) {
      return EntryError(errno, "set the size of", path);
    }
    return absl::OkStatus();
  }

  static absl::Status WriteAt(int fd, TarBlock block, const std::string& path) {
    while (!block.bytes.empty()) {
      const ssize_t count =
          pwrite(fd, block.bytes.data(), block.bytes.size(), static_cast<off_t>(block.offset));
      if (count < 0 && errno != EINTR) {
        return EntryError(errno, "write", path);
      }
      if (count > 0) {
        block.bytes = block.bytes.subspan(static_cast<size_t>(count));
        block.offset += static_cast<uint64_t>(count);
      }
    }
    return absl::OkStatus();
  }

  absl::Status ApplySymlink(const TarEntry& entry, const std::string& path) {
    if (entry.link.empty()) {
      return InvalidArgument("tar entry '{}' is a symlink without a target", Printable(path));
    }
    ASSIGN_OR_RETURN(const Place place, tree_.Find(path));
    const char* name = place.name.c_str();
    int result = symlinkat(entry.link.c_str(), place.parent, name);
    if (result != 0 && errno == EEXIST) {
      RETURN_IF_ERROR(Displace(place));
      result = symlinkat(entry.link.c_str(), place.parent, name);
    }
    if (result != 0) {
      return EntryError(errno, "make symlink", path);
    }
    ++made_;
    return SetMetadataByName(place, entry,
                             {.owner_is_roots = place.root_group, .mode_is_set = false});
  }

  absl::Status ApplyHardLink(const TarEntry& entry, const std::string& path) {
    ASSIGN_OR_RETURN(const std::string target_path, NormalizeTarPath(entry.link));
    if (target_path.empty()) {
      return InvalidArgument("tar entry '{}' is a hard link to the root", Printable(path));
    }
    absl::StatusOr<Place> target = tree_.FindExisting(target_path);
    if (!target.ok() && target.status().code() == absl::StatusCode::kNotFound) {
      return MissingTarget(entry);
    }
    RETURN_IF_ERROR(target.status());
    ASSIGN_OR_RETURN(const std::optional<struct stat> st, LayerTree::Stat(*target));
    if (!st || LayerTree::IsWhiteout(*st)) {
      return MissingTarget(entry);
    }
    if (S_ISDIR(st->st_mode)) {
      return InvalidArgument("tar entry '{}' is a hard link to directory '{}'", Printable(path),
                             Printable(entry.link));
    }
    // The tree's descriptor of the target's parent does not outlive the next Find.
    ASSIGN_OR_RETURN(const UniqueFd target_dir, OpenAt(target->parent, ".", O_PATH | O_DIRECTORY));
    ASSIGN_OR_RETURN(const Place place, tree_.Find(path));
    ASSIGN_OR_RETURN(const std::optional<struct stat> old, LayerTree::Stat(place));
    if (old && old->st_dev == st->st_dev && old->st_ino == st->st_ino) {
      return absl::OkStatus();  // the link is there
    }
    if (old) {
      RETURN_IF_ERROR(Displace(place));
    }
    if (linkat(target_dir.get(), target->name.c_str(), place.parent, place.name.c_str(), 0) != 0) {
      return EntryError(errno, "make hard link", path);
    }
    ++made_;
    return absl::OkStatus();
  }

  static absl::Status MissingTarget(const TarEntry& entry) {
    return InvalidArgument("tar entry '{}' is a hard link to '{}', which is not in this layer",
                           Printable(entry.path), Printable(entry.link));
  }

  absl::Status ApplyNode(const TarEntry& entry, const std::string& path) {
    const mode_t type = entry.type == TarEntry::Type::kFifo         ? S_IFIFO
                        : entry.type == TarEntry::Type::kCharDevice ? S_IFCHR
                                                                    : S_IFBLK;
    const dev_t device = type == S_IFIFO ? 0 : entry.device;
    if (type != S_IFIFO && !limits_.allow_devices) {
      return InvalidArgument("tar entry '{}' is a device node, which the configuration refuses",
                             Printable(path));
    }
    ASSIGN_OR_RETURN(const Place place, tree_.Find(path));
    const char* name = place.name.c_str();
    int result = mknodat(place.parent, name, type | 0600, device);
    if (result != 0 && errno == EEXIST) {
      RETURN_IF_ERROR(Displace(place));
      result = mknodat(place.parent, name, type | 0600, device);
    }
    if (result != 0) {
      return EntryError(errno, "make device", path);
    }
    ++made_;
    if (type == S_IFCHR && device == makedev(0, 0)) {
      result_.flags |= kHasWhiteouts;
    }
    return SetMetadataByName(place, entry, {});
  }

  // Making entries changes the times of their directories, and a default ACL changes what is made.
  absl::Status FinishDirectories() {
    for (const auto& [path, last] : directories_) {
      UniqueFd fd;
      if (path.empty()) {
        ASSIGN_OR_RETURN(fd, OpenAt(tree_.root(), ".", kOpenDir));
      } else {
        // A directory reached through a symlink may have lost its way there since.
        const absl::StatusOr<Place> place = tree_.FindExisting(path);
        fd.Reset(place.ok() ? openat(place->parent, place->name.c_str(), kOpenDir) : -1);
        if (!fd.valid()) {
          continue;
        }
      }
      if (!last.default_acl.empty()) {
        RETURN_IF_ERROR(SetDefaultAcl(fd.get(), last.default_acl, path));
      }
      const timespec times[2] = {last.mtime, last.mtime};
      if (futimens(fd.get(), times) != 0) {
        return EntryError(errno, "set times of", path);
      }
    }
    return absl::OkStatus();
  }

  absl::Status Displace(const Place& place) {
    ASSIGN_OR_RETURN(const struct stat old, tree_.Displace(place));
    if (S_ISDIR(old.st_mode)) {
      directories_.erase(place.path);
      const std::string below = place.path + "/";
      auto it = directories_.lower_bound(below);
      while (it != directories_.end() && it->first.starts_with(below)) {
        it = directories_.erase(it);
      }
    } else if (S_ISREG(old.st_mode) && old.st_nlink == 1) {
      result_.bytes -= std::min({static_cast<uint64_t>(old.st_size),
                                 static_cast<uint64_t>(old.st_blocks) * 512, result_.bytes});
    }
    return absl::OkStatus();
  }

  [[nodiscard]] uint64_t Files() const { return made_ + tree_.directories_made(); }

  absl::Status CheckFiles() const {
    if (Files() <= limits_.max_files) {
      return absl::OkStatus();
    }
    return ResourceExhausted("layer holds more than the limit of {} files", limits_.max_files);
  }

  TarReader& reader_;
  LayerTree tree_;
  const int directory_fd_;
  const ApplyLimits limits_;
  ApplyResult result_;
  uint64_t made_ = 0;
  std::map<std::string, LastTouch> directories_;
};

}  // namespace

absl::StatusOr<ApplyResult> ApplyTar(ByteSource& source, int directory_fd,
                                     const ApplyLimits& limits, const OpaqueSetter& set_opaque) {
  umask(0);
  ASSIGN_OR_RETURN(LayerTree tree, LayerTree::Create(directory_fd, set_opaque));
  ASSIGN_OR_RETURN(const std::unique_ptr<TarReader> reader, TarReader::Create(source));
  return Applier(*reader, std::move(tree), directory_fd, limits).Run();
}

}  // namespace davit::storage
