// SPDX-License-Identifier: Apache-2.0
#include "storage/mapped_lowers.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>

#include "base/fd.h"
#include "base/file.h"
#include "base/idmapped_mount.h"
#include "base/mount.h"
#include "base/status.h"
#include "base/text.h"
#include "base/user_namespace.h"
#include "storage/overlay.h"

namespace davit::storage {
namespace {

constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr char kCapability[] = "security.capability";

struct DirCloser {
  void operator()(DIR* dir) const { closedir(dir); }
};

// File capabilities in a user namespace are good for its own root only (VFS_CAP_REVISION_3).
std::string MapCapability(const std::string& value, uint32_t root_uid) {
  vfs_ns_cap_data caps = {};
  if (value.size() != sizeof(vfs_cap_data)) {
    return value;
  }
  memcpy(&caps, value.data(), value.size());
  const uint32_t magic = le32toh(caps.magic_etc);
  caps.magic_etc = htole32((magic & ~VFS_CAP_REVISION_MASK) | VFS_CAP_REVISION_3);
  caps.rootid = htole32(root_uid);
  return {reinterpret_cast<const char*>(&caps), sizeof caps};
}

class Chowner {
 public:
  explicit Chowner(const IdMappings& mappings) : mappings_(mappings) {}

  // The directory's own owner last, then everything below.
  absl::Status Directory(int fd, const std::string& path, int depth) {
    if (depth > kMaxDepth) {
      return InvalidArgument("'{}' is too deep to give it other owners", Printable(path));
    }
    UniqueFd copy(openat(fd, ".", kOpenDir));
    const std::unique_ptr<DIR, DirCloser> dir(copy.valid() ? fdopendir(copy.get()) : nullptr);
    if (!dir) {
      return ErrnoStatus(errno, "list '" + Printable(path) + "' of the image");
    }
    (void)copy.Release();
    std::vector<std::string> names;  // chown copies up, which changes what readdir gives
    while (const dirent* entry = readdir(dir.get())) {
      if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
        names.emplace_back(entry->d_name);
      }
    }
    for (const std::string& name : names) {
      RETURN_IF_ERROR(Entry(fd, name, path, depth));
    }
    return absl::OkStatus();
  }

  absl::Status Owner(int dir_fd, const std::string& name, const std::string& path) {
    struct stat st = {};
    if (fstatat(dir_fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus(errno, "stat '" + Printable(path) + "' of the image");
    }
    const std::string link = fmt::format("/proc/self/fd/{}/{}", dir_fd, name);
    std::string capability(64, '\0');
    const ssize_t size = S_ISREG(st.st_mode) ? lgetxattr(link.c_str(), kCapability,
                                                         capability.data(), capability.size())
                                             : -1;
    if (fchownat(dir_fd, name.c_str(), MapToHost(mappings_.uids, st.st_uid),
                 MapToHost(mappings_.gids, st.st_gid), AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus(errno, "chown '" + Printable(path) + "' of the image");
    }
    // chown has cleared these.
    if (S_ISREG(st.st_mode) && (st.st_mode & (S_ISUID | S_ISGID)) != 0 &&
        fchmodat(dir_fd, name.c_str(), st.st_mode & 07777U, 0) != 0) {
      return ErrnoStatus(errno, "chmod '" + Printable(path) + "' of the image");
    }
    if (size > 0) {
      capability.resize(static_cast<size_t>(size));
      capability = MapCapability(capability, MapToHost(mappings_.uids, 0));
      if (lsetxattr(link.c_str(), kCapability, capability.data(), capability.size(), 0) != 0) {
        return ErrnoStatus(errno, "set capabilities of '" + Printable(path) + "' of the image");
      }
    }
    return absl::OkStatus();
  }

 private:
  static constexpr int kMaxDepth = 500;  // of descriptors

  absl::Status Entry(int dir_fd, const std::string& name, const std::string& above, int depth) {
    const std::string path = JoinPath(above, name);
    UniqueFd child(openat(dir_fd, name.c_str(), kOpenDir));
    if (child.valid()) {
      RETURN_IF_ERROR(Directory(child.get(), path, depth + 1));
    } else if (errno != ENOTDIR && errno != ELOOP) {
      return ErrnoStatus(errno, "open '" + Printable(path) + "' of the image");
    }
    return Owner(dir_fd, name, path);
  }

  const IdMappings& mappings_;
};

}  // namespace

absl::StatusOr<bool> CanIdmap(const std::string& directory) {
  ASSIGN_OR_RETURN(const UniqueFd ns, MakeUserNamespace("0 100000 1\n", "0 100000 1\n"));
  const absl::Status mapped = IdmappedMount(directory, ns.get()).status();
  if (mapped.code() == absl::StatusCode::kUnimplemented) {
    return false;
  }
  RETURN_IF_ERROR(mapped);
  return true;
}

absl::StatusOr<std::vector<std::string>> IdmapLowers(const std::vector<std::string>& lowers,
                                                     const IdMappings& mappings,
                                                     LowerMounts& mounts) {
  ASSIGN_OR_RETURN(const UniqueFd ns,
                   MakeUserNamespace(KernelMap(mappings.uids), KernelMap(mappings.gids)));
  std::vector<std::string> mapped;
  for (const std::string& lower : lowers) {
    ASSIGN_OR_RETURN(const UniqueFd mount, IdmappedMount(lower, ns.get()));
    ASSIGN_OR_RETURN(std::string path, mounts.Attach(mount));
    mapped.push_back(std::move(path));
  }
  return mapped;
}

// Both are needed to find the data of a file whose owner alone was copied.
std::vector<std::string> ChownOptions() {
  return {"metacopy=on", "redirect_dir=on"};
}

absl::Status MakeChownLayer(const std::vector<std::string>& lowers, const std::string& directory,
                            const IdMappings& mappings, const std::string& scratch) {
  OverlaySpec spec{.lowers = lowers,
                   .upper = JoinPath(directory, "upper"),
                   .work = JoinPath(directory, "work"),
                   .options = ChownOptions(),
                   .scratch = scratch};
  spec.options.insert(spec.options.end(), {"index=off", "volatile"});
  RETURN_IF_ERROR(MakeDirs(spec.upper));
  RETURN_IF_ERROR(MakeDirs(spec.work));
  {
    ASSIGN_OR_RETURN(const UniqueFd root, OpenOverlay(spec, scratch));
    ASSIGN_OR_RETURN(const UniqueFd dir, OpenAt(root.get(), ".", kOpenDir));
    Chowner chowner(mappings);
    RETURN_IF_ERROR(chowner.Directory(dir.get(), "/", 0));
    RETURN_IF_ERROR(chowner.Owner(dir.get(), ".", "/"));
  }
  return RemoveTree(spec.work);
}

}  // namespace davit::storage
