// SPDX-License-Identifier: Apache-2.0
#include "base/mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"

namespace davit {
namespace {

// A node with thousands of pods has a mount table of megabytes.
constexpr size_t kMaxMountInfo = 256U << 20U;

// mountinfo writes space, tab, newline and backslash as three octal digits.
std::string Unescape(std::string_view text) {
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string plain;
  plain.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) &&
        octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

absl::StatusOr<MountEntry> ParseLine(std::string_view line) {
  // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
  const std::vector<std::string> fields = Split(line, ' ');
  const auto separator = std::find(fields.begin(), fields.end(), "-");
  const auto id = ParseUint(fields[0]);
  // The source may be empty, so there are at least two fields and a blank after the separator.
  if (!id || separator - fields.begin() < 6 || fields.end() - separator < 4) {
    return InvalidArgument("mountinfo holds a line that is none: {}", Printable(line));
  }
  MountEntry entry;
  entry.id = *id;
  entry.root = Unescape(fields[3]);
  entry.target = Unescape(fields[4]);
  for (auto option = fields.begin() + 6; option != separator; ++option) {
    entry.shared = entry.shared || option->starts_with("shared:");
    entry.slave = entry.slave || option->starts_with("master:");
  }
  entry.filesystem = Unescape(separator[1]);
  entry.source = Unescape(separator[2]);
  entry.super_options = Unescape(separator[3]);
  return entry;
}

// As mountinfo has it: absolute and without symlinks, as far as the path exists.
std::string RealPath(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr),
                                                         &std::free);
  std::string text = real ? real.get() : path;
  while (text.size() > 1 && text.back() == '/') {
    text.pop_back();
  }
  return text;
}

bool IsAtOrBelow(std::string_view path, std::string_view directory) {
  return directory == "/" || path == directory ||
         (path.size() > directory.size() && path.starts_with(directory) &&
          path[directory.size()] == '/');
}

// Keeps the flags that the mount has: a remount that drops a locked one is refused.
unsigned long RemountFlags(const std::string& target) {
  struct statvfs fs = {};
  unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY;
  if (statvfs(target.c_str(), &fs) == 0) {
    flags |= fs.f_flag & (ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_NOATIME | ST_NODIRATIME);
    flags |= (fs.f_flag & ST_RELATIME) != 0 ? MS_RELATIME : 0;
  }
  return flags;
}

absl::Status MakeReadonly(const std::string& target, bool recursive) {
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  const unsigned flags = AT_SYMLINK_NOFOLLOW | (recursive ? unsigned{AT_RECURSIVE} : 0U);
  if (mount_setattr(AT_FDCWD, target.c_str(), flags, &attributes, sizeof attributes) == 0) {
    return absl::OkStatus();
  }
  if (errno != ENOSYS || recursive) {  // Linux 5.12 brought it
    return ErrnoStatus(errno, "make mount " + target + " read-only");
  }
  if (mount(nullptr, target.c_str(), nullptr, RemountFlags(target), nullptr) != 0) {
    return ErrnoStatus(errno, "make mount " + target + " read-only");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status BindMount(const std::string& source, const std::string& target, bool recursive,
                       bool readonly) {
  const unsigned long flags = MS_BIND | (recursive ? MS_REC : 0);
  if (mount(source.c_str(), target.c_str(), nullptr, flags, nullptr) != 0) {
    return ErrnoStatus(errno, "bind mount " + source + " at " + target);
  }
  if (!readonly) {
    return absl::OkStatus();
  }
  absl::Status status = MakeReadonly(target, recursive);
  if (!status.ok()) {
    umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  }
  return status;
}

absl::Status MountTmpfs(const std::string& target, uint64_t size_bytes, uint32_t mode) {
  const std::string options = fmt::format("size={},mode={:o}", size_bytes, mode);
  if (mount("tmpfs", target.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options.c_str()) !=
      0) {
    return ErrnoStatus(errno, "mount tmpfs at " + target);
  }
  return absl::OkStatus();
}

absl::Status Unmount(const std::string& target) {
  // EINVAL: not a mount point.
  if (umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno == EINVAL ||
      errno == ENOENT) {
    return absl::OkStatus();
  }
  return ErrnoStatus(errno, "unmount " + target);
}

absl::StatusOr<std::vector<MountEntry>> ParseMountInfo(const std::string& text) {
  std::vector<MountEntry> mounts;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (end > 0) {
      ASSIGN_OR_RETURN(MountEntry entry, ParseLine(rest.substr(0, end)));
      mounts.push_back(std::move(entry));
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return mounts;
}

absl::StatusOr<std::vector<MountEntry>> ListMounts() {
  ASSIGN_OR_RETURN(std::string text, ReadFile("/proc/thread-self/mountinfo", kMaxMountInfo));
  return ParseMountInfo(text);
}

absl::StatusOr<std::vector<MountEntry>> MountsBelow(const std::string& directory) {
  ASSIGN_OR_RETURN(std::vector<MountEntry> mounts, ListMounts());
  const std::string real = RealPath(directory);
  std::erase_if(mounts, [&](const MountEntry& m) { return !IsAtOrBelow(m.target, real); });
  // Of several at one place the last one mounted lies on top, and stays last.
  std::stable_sort(mounts.begin(), mounts.end(), [](const MountEntry& a, const MountEntry& b) {
    const auto depth = [](const MountEntry& m) {
      return std::count(m.target.begin(), m.target.end(), '/');
    };
    return depth(a) < depth(b);
  });
  return mounts;
}

absl::Status UnmountAllBelow(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<MountEntry> mounts, MountsBelow(directory));
  absl::Status first_error;
  for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount) {
    first_error.Update(Unmount(mount->target));
  }
  return first_error;
}

absl::StatusOr<MountEntry> MountOf(const std::string& path) {
  if (!PathExists(path)) {
    return NotFound("find the mount of {}: no such file or directory", path);
  }
  ASSIGN_OR_RETURN(std::vector<MountEntry> mounts, ListMounts());
  const std::string real = RealPath(path);
  MountEntry* best = nullptr;
  for (MountEntry& entry : mounts) {
    if (IsAtOrBelow(real, entry.target) &&
        (best == nullptr || entry.target.size() >= best->target.size())) {
      best = &entry;
    }
  }
  if (best == nullptr) {
    return NotFound("find the mount of {}: the mount table has none", path);
  }
  return std::move(*best);
}

}  // namespace davit
