// SPDX-License-Identifier: Apache-2.0
#include "storage/entry_metadata.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/status.h"
#include "base/text.h"

namespace davit::storage {
namespace {

constexpr mode_t kSetIds = S_ISUID | S_ISGID;

// trusted.overlay.* above all is not the archive's to set: it would steer the overlay mount.
bool WantedXattr(std::string_view name) {
  return name == "security.capability" || name == "system.posix_acl_access" ||
         name.starts_with("user.");
}

// A file system or file type without such attributes still gives a usable layer, save for file
// capabilities, without which programs in it fail in ways that are hard to explain.
absl::Status XattrError(int error, const std::string& name, const std::string& path) {
  const bool unsupported = error == ENOTSUP || error == EPERM;
  if (unsupported && name != "security.capability") {
    return absl::OkStatus();
  }
  if (error == ENOSPC || error == E2BIG || error == ERANGE) {
    return ResourceExhausted("set attribute {} of layer entry '{}': {}", Printable(name),
                             Printable(path), ErrnoText(error));
  }
  return EntryError(error, ("set attribute " + Printable(name) + " of").c_str(), path);
}

bool OwnerToSet(const TarEntry& entry, const FreshFile& fresh) {
  return !fresh.owner_is_roots || entry.uid != 0 || entry.gid != 0;
}

}  // namespace

absl::Status EntryError(int error, const char* verb, const std::string& path) {
  const std::string what = std::string(verb) + " layer entry '" + Printable(path) + "'";
  switch (error) {
    case ENAMETOOLONG:
    case ELOOP:
    case ENOTDIR:
    case EFBIG:
      return InvalidArgument("{}: {}", what, ErrnoText(error));
    default:
      return ErrnoStatus(error, what);
  }
}

absl::Status SetMetadata(int fd, const TarEntry& entry, const std::string& path,
                         const FreshFile& fresh) {
  // Owner first: chown clears set-user-ID and file capabilities.
  if (OwnerToSet(entry, fresh) && fchown(fd, entry.uid, entry.gid) != 0) {
    return EntryError(errno, "chown", path);
  }
  if ((!fresh.mode_is_set || (entry.mode & kSetIds) != 0) && fchmod(fd, entry.mode) != 0) {
    return EntryError(errno, "chmod", path);
  }
  for (const auto& [name, value] : entry.xattrs) {
    if (WantedXattr(name) && fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0) {
      RETURN_IF_ERROR(XattrError(errno, name, path));
    }
  }
  return absl::OkStatus();
}

absl::Status SetTimes(int fd, const TarEntry& entry, const std::string& path) {
  const timespec times[2] = {entry.mtime, entry.mtime};
  return futimens(fd, times) == 0 ? absl::OkStatus() : EntryError(errno, "set times of", path);
}

absl::Status SetMetadataByName(const Place& place, const TarEntry& entry, const FreshFile& fresh) {
  const char* name = place.name.c_str();
  if (OwnerToSet(entry, fresh) &&
      fchownat(place.parent, name, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return EntryError(errno, "chown", place.path);
  }
  const bool has_mode = entry.type != TarEntry::Type::kSymlink;
  if (has_mode && (!fresh.mode_is_set || (entry.mode & kSetIds) != 0) &&
      fchmodat(place.parent, name, entry.mode, 0) != 0) {
    return EntryError(errno, "chmod", place.path);
  }
  for (const auto& [key, value] : entry.xattrs) {
    if (!WantedXattr(key)) {
      continue;
    }
    // There is no fsetxattr for O_PATH, and no /proc where the applier runs.
    if (fchdir(place.parent) != 0) {
      return EntryError(errno, "enter the directory of", place.path);
    }
    if (lsetxattr(name, key.c_str(), value.data(), value.size(), 0) != 0) {
      RETURN_IF_ERROR(XattrError(errno, key, place.path));
    }
  }
  const timespec times[2] = {entry.mtime, entry.mtime};
  if (utimensat(place.parent, name, times, AT_SYMLINK_NOFOLLOW) != 0) {
    return EntryError(errno, "set times of", place.path);
  }
  return absl::OkStatus();
}

const std::string* FindDefaultAcl(const TarEntry& entry) {
  for (const auto& [name, value] : entry.xattrs) {
    if (name == kDefaultAcl) {
      return &value;
    }
  }
  return nullptr;
}

absl::Status SetDefaultAcl(int dir_fd, const std::string& value, const std::string& path) {
  if (fsetxattr(dir_fd, kDefaultAcl, value.data(), value.size(), 0) != 0) {
    return XattrError(errno, kDefaultAcl, path);
  }
  return absl::OkStatus();
}

}  // namespace davit::storage
