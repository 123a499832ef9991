// SPDX-License-Identifier: Apache-2.0
#include "server/selinux/relabel.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string_view>
#include <utility>

#include "base/fd.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::server::selinux {
namespace {

constexpr char kAttribute[] = "security.selinux";
constexpr size_t kMaxLabel = 4096;
constexpr int kMaxDepth = 500;  // one descriptor for each

// The machine's own, and those above many containers' volumes.
constexpr std::array<std::string_view, 30> kForbidden = {
    "/",          "/bin",        "/boot", "/dev",     "/etc",     "/etc/passwd",
    "/etc/pki",   "/etc/shadow", "/home", "/lib",     "/lib64",   "/media",
    "/mnt",       "/opt",        "/proc", "/root",    "/run",     "/sbin",
    "/srv",       "/sys",        "/tmp",  "/usr",     "/usr/bin", "/usr/lib",
    "/usr/lib64", "/usr/sbin",   "/var",  "/var/lib", "/var/log", "/var/tmp"};

// Names that object itself, even a symlink: the kernel goes to what the descriptor is of.
std::string PathOf(int fd) {
  return "/proc/thread-self/fd/" + std::to_string(fd);
}

// Labels are kept with their NUL, by some without.
bool HasLabel(const std::string& path, const std::string& label) {
  std::array<char, kMaxLabel> value;
  ssize_t size = getxattr(path.c_str(), kAttribute, value.data(), value.size());
  while (size > 0 && value[static_cast<size_t>(size) - 1] == '\0') {
    --size;
  }
  return size > 0 && std::string_view(value.data(), static_cast<size_t>(size)) == label;
}

// 0 also where there are no labels.
int SetOf(const std::string& path, const std::string& label) {
  if (HasLabel(path, label) ||
      setxattr(path.c_str(), kAttribute, label.c_str(), label.size() + 1, 0) == 0) {
    return 0;
  }
  return errno == ENOTSUP || errno == EROFS ? 0 : errno;
}

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};

class Relabeller {
 public:
  Relabeller(Context& ctx, const std::string& label) : ctx_(ctx), label_(label) {}

  // `fd` is O_PATH; `path` is for errors.
  absl::Status Do(int fd, const std::string& path, int depth) {
    if (const int error = SetOf(PathOf(fd), label_); error != 0) {
      return ErrnoStatus(error, "set the SELinux label of " + Printable(path));
    }
    struct stat st = {};
    if (fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode)) {
      return absl::OkStatus();
    }
    if (depth > kMaxDepth) {
      return InvalidArgument("relabel {}: directories nest too deep", Printable(path));
    }
    RETURN_IF_ERROR(ctx_.Check());
    return Children(fd, path, depth);
  }

 private:
  absl::Status Children(int parent, const std::string& path, int depth) {
    const int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, CloseDir> dir(fd < 0 ? nullptr : fdopendir(fd));
    if (!dir) {
      return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, "list " + Printable(path));
    }
    while (const dirent* entry = readdir(dir.get())) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") {
        continue;
      }
      open_how how = {};
      how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
      how.resolve = RESOLVE_NO_XDEV | RESOLVE_BENEATH;
      const UniqueFd child(
          static_cast<int>(syscall(SYS_openat2, parent, entry->d_name, &how, sizeof how)));
      if (child.valid()) {
        RETURN_IF_ERROR(Do(child.get(), path + "/" + entry->d_name, depth + 1));
      } else if (errno != ENOENT && errno != EXDEV) {  // gone, or another mount
        return ErrnoStatus(errno, "open " + Printable(path + "/" + entry->d_name));
      }
    }
    return absl::OkStatus();
  }

  Context& ctx_;
  const std::string& label_;
};

}  // namespace

absl::Status SetLabel(const std::string& path, const std::string& label) {
  if (lsetxattr(path.c_str(), kAttribute, label.c_str(), label.size() + 1, 0) != 0 &&
      errno != ENOTSUP) {
    return ErrnoStatus(errno, "set the SELinux label of " + path);
  }
  return absl::OkStatus();
}

absl::Status Relabel(Context& ctx, const HostPath& place, const std::string& label, Depth depth) {
  if (std::find(kForbidden.begin(), kForbidden.end(), place.path) != kForbidden.end()) {
    return InvalidArgument(
        "{} is not relabelled: the machine itself needs it; mount a directory below it, or without "
        "selinux_relabel",
        place.path);
  }
  if (depth == Depth::kIfNeeded && HasLabel(PathOf(place.fd.get()), label)) {
    return absl::OkStatus();
  }
  return Relabeller(ctx, label).Do(place.fd.get(), place.path, 0);
}

}  // namespace davit::server::selinux
