// SPDX-License-Identifier: Apache-2.0
#include "storage/overlay.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "base/file.h"
#include "base/id.h"
#include "base/idmapped_mount.h"
#include "base/mount.h"
#include "base/status.h"
#include "base/text.h"
#include "storage/lower_mounts.h"

namespace davit::storage {
namespace {

// fsconfig(2) copies at most this many bytes of a value, with the NUL.
constexpr size_t kMaxFsconfigValue = 256;

struct MountFlag {
  unsigned int attribute;    // fsmount(2)
  unsigned long mount_flag;  // mount(2)
};

const std::map<std::string, MountFlag>& GenericFlags() {
  static const std::map<std::string, MountFlag> kFlags = {
      {"ro", {MOUNT_ATTR_RDONLY, MS_RDONLY}},
      {"nosuid", {MOUNT_ATTR_NOSUID, MS_NOSUID}},
      {"nodev", {MOUNT_ATTR_NODEV, MS_NODEV}},
      {"noexec", {MOUNT_ATTR_NOEXEC, MS_NOEXEC}},
      {"noatime", {MOUNT_ATTR_NOATIME, MS_NOATIME}},
      {"relatime", {MOUNT_ATTR_RELATIME, MS_RELATIME}},
      {"strictatime", {MOUNT_ATTR_STRICTATIME, MS_STRICTATIME}},
      {"nodiratime", {MOUNT_ATTR_NODIRATIME, MS_NODIRATIME}},
      {"dev", {0, 0}},  // these three only undo a default of ours
      {"suid", {0, 0}},
      {"exec", {0, 0}},
  };
  return kFlags;
}

// Options of overlay itself, and the flags that every mount has.
struct ParsedOptions {
  std::vector<std::pair<std::string, std::optional<std::string>>> overlay;
  unsigned int attributes = 0;
  unsigned long mount_flags = 0;
};

ParsedOptions ParseOptions(const std::vector<std::string>& options) {
  ParsedOptions parsed;
  for (const std::string& option : options) {
    if (const auto it = GenericFlags().find(option); it != GenericFlags().end()) {
      parsed.attributes |= it->second.attribute;
      parsed.mount_flags |= it->second.mount_flag;
      continue;
    }
    const size_t equals = option.find('=');
    if (equals == std::string::npos) {
      parsed.overlay.emplace_back(option, std::nullopt);
    } else {
      parsed.overlay.emplace_back(option.substr(0, equals), option.substr(equals + 1));
    }
  }
  return parsed;
}

// What the kernel says about a failed call on a file system context.
std::string KernelWords(int fs_fd) {
  std::string words;
  char buffer[512];
  while (true) {
    const ssize_t count = read(fs_fd, buffer, sizeof buffer);
    if (count <= 0) {
      return words;
    }
    const std::string_view line = Trim({buffer, static_cast<size_t>(count)});
    words += words.empty() ? "" : "; ";
    words += line.size() > 2 ? line.substr(2) : line;  // "e overlay: …"
  }
}

absl::Status FsError(int fs_fd, int error, const std::string& what) {
  const std::string words = KernelWords(fs_fd);
  return ErrnoStatus(error, words.empty() ? what : fmt::format("{} ({})", what, words));
}

// One mount being put together by the new API.
class FsContext {
 public:
  static absl::StatusOr<FsContext> Open() {
    UniqueFd fd(fsopen("overlay", FSOPEN_CLOEXEC));
    if (!fd.valid()) {
      return errno == ENOSYS
                 ? Unimplemented("the kernel lacks fsopen")
                 : ErrnoStatus(errno, "open file system overlay (is the module loaded?)");
    }
    return FsContext(std::move(fd));
  }

  absl::Status SetDirectory(const char* key, const std::string& path) {
    std::string value = path;
    if (path.size() >= kMaxFsconfigValue || path.find('\\') != std::string::npos) {
      ASSIGN_OR_RETURN(UniqueFd dir, davit::Open(path, O_PATH | O_DIRECTORY));
      value = "/proc/self/fd/" + std::to_string(dir.get());
      dirs_.push_back(std::move(dir));
    }
    if (fsconfig(fd_.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) != 0) {
      return FsError(fd_.get(), errno, fmt::format("set overlay {} to {}", key, path));
    }
    return absl::OkStatus();
  }

  absl::Status SetOption(const std::string& key, const std::optional<std::string>& value) {
    const auto command = value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
    if (fsconfig(fd_.get(), command, key.c_str(), value ? value->c_str() : nullptr, 0) != 0) {
      return FsError(fd_.get(), errno,
                     fmt::format("set overlay option {}{}", key, value ? "=" + *value : ""));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<UniqueFd> Mount(unsigned int attributes) {
    if (fsconfig(fd_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
      const int error = errno;
      const std::string words = KernelWords(fd_.get());
      // Before Linux 6.5 overlay takes any option here, and says nothing when it refuses one now.
      if (error == EINVAL && words.empty()) {
        return Unimplemented("the kernel's overlay refuses the new mount API's options");
      }
      return ErrnoStatus(error, "make overlay mount" + (words.empty() ? "" : " (" + words + ")"));
    }
    UniqueFd mount(fsmount(fd_.get(), FSMOUNT_CLOEXEC, attributes));
    if (!mount.valid()) {
      return FsError(fd_.get(), errno, "make overlay mount");
    }
    return mount;
  }

 private:
  explicit FsContext(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
  std::vector<UniqueFd> dirs_;
};

// Unimplemented if this kernel cannot.
absl::StatusOr<UniqueFd> NewApiMount(const OverlaySpec& spec) {
  const ParsedOptions options = ParseOptions(spec.options);
  ASSIGN_OR_RETURN(FsContext context, FsContext::Open());
  for (size_t i = 0; i < spec.lowers.size(); ++i) {
    const absl::Status status = context.SetDirectory("lowerdir+", spec.lowers[i]);
    if (i == 0 && status.code() == absl::StatusCode::kInvalidArgument) {
      return Unimplemented("the kernel lacks overlay option lowerdir+: {}", Message(status));
    }
    RETURN_IF_ERROR(status);
  }
  if (!spec.upper.empty()) {
    RETURN_IF_ERROR(context.SetDirectory("upperdir", spec.upper));
    RETURN_IF_ERROR(context.SetDirectory("workdir", spec.work));
  }
  for (const auto& [key, value] : options.overlay) {
    RETURN_IF_ERROR(context.SetOption(key, value));
  }
  return context.Mount(options.attributes);
}

// A comma within a value (SELinux labels have some) would end it.
std::string Quoted(const std::string& value) {
  return value.find(',') == std::string::npos ? value : "\"" + value + "\"";
}

struct LegacyMount {
  std::string data;
  std::vector<UniqueFd> dirs;
};

absl::Status AddDirectory(LegacyMount& mount, const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd dir, Open(path, O_PATH | O_DIRECTORY));
  mount.data += std::to_string(dir.get());
  mount.dirs.push_back(std::move(dir));
  return absl::OkStatus();
}

absl::StatusOr<LegacyMount> LegacyData(const OverlaySpec& spec, const ParsedOptions& options) {
  LegacyMount mount;
  mount.data = "lowerdir=";
  for (const std::string& lower : spec.lowers) {
    mount.data += mount.dirs.empty() ? "" : ":";
    RETURN_IF_ERROR(AddDirectory(mount, lower));
  }
  if (!spec.upper.empty()) {
    mount.data += ",upperdir=";
    RETURN_IF_ERROR(AddDirectory(mount, spec.upper));
    mount.data += ",workdir=";
    RETURN_IF_ERROR(AddDirectory(mount, spec.work));
  }
  for (const auto& [key, value] : options.overlay) {
    mount.data += "," + key + (value ? "=" + Quoted(*value) : "");
  }
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (mount.data.size() >= page) {
    return InvalidArgument(
        "overlay of {} layers needs {} bytes of mount options, this kernel takes "
        "{}",
        spec.lowers.size(), mount.data.size(), page - 1);
  }
  return mount;
}

absl::Status LegacyMountAt(const OverlaySpec& spec, const std::string& target) {
  const ParsedOptions options = ParseOptions(spec.options);
  ASSIGN_OR_RETURN(const LegacyMount data, LegacyData(spec, options));
  absl::Status status;
  // The working directory is the thread's own after unshare; no pool thread's ever changes.
  std::thread([&] {
    if (unshare(CLONE_FS) != 0 || chdir("/proc/self/fd") != 0) {
      status = ErrnoStatus(errno, "enter /proc/self/fd to mount overlay");
    } else if (mount("overlay", target.c_str(), "overlay", options.mount_flags,
                     data.data.c_str()) != 0) {
      status = ErrnoStatus(errno, fmt::format("mount overlay of {} layers at {} (the kernel's log "
                                              "says more)",
                                              spec.lowers.size(), target));
    }
  }).join();
  return status;
}

absl::Status CheckSpec(const OverlaySpec& spec) {
  if (spec.lowers.empty() || (spec.upper.empty() && spec.lowers.size() < 2)) {
    return Internal("overlay of {} lower directories", spec.lowers.size());
  }
  const size_t limit = spec.scratch.empty() ? kMaxLowers : kMaxLayers;
  if (spec.lowers.size() > limit) {
    return InvalidArgument("overlay of {} layers: at most {} can be mounted", spec.lowers.size(),
                           limit);
  }
  return absl::OkStatus();
}

// Where there are too many layers: the lowest ones become one, a read-only overlay of their own.
absl::StatusOr<OverlaySpec> Nest(const OverlaySpec& spec, MountApi api, LowerMounts& mounts) {
  if (spec.lowers.size() <= kMaxLowers) {
    return spec;
  }
  OverlaySpec top = spec;
  OverlaySpec bottom;
  const auto split = top.lowers.begin() + (kMaxLowers - 1);
  bottom.lowers.assign(split, top.lowers.end());
  top.lowers.erase(split, top.lowers.end());
  if (bottom.lowers.size() == 1) {  // an overlay without upper has two
    bottom.lowers.insert(bottom.lowers.begin(), top.lowers.back());
    top.lowers.pop_back();
  }
  for (const std::string& option : spec.options) {
    if (option != "volatile") {  // is for upper directories
      bottom.options.push_back(option);
    }
  }
  ASSIGN_OR_RETURN(std::string path, mounts.NewTarget());
  RETURN_IF_ERROR(MountOverlay(bottom, path, api));
  top.lowers.push_back(std::move(path));
  return top;
}

// Kernels before 6.5 write a line to their log for each attempt with the new API: one has to do. A
// refusal counts only where the old API then did it.
std::atomic<bool> needs_legacy = false;

MountApi Usable(MountApi api) {
  return api == MountApi::kAuto && needs_legacy ? MountApi::kLegacy : api;
}

absl::Status Remember(absl::Status mounted) {
  if (mounted.ok()) {
    needs_legacy = true;
  }
  return mounted;
}

}  // namespace

absl::Status MountOverlay(const OverlaySpec& given, const std::string& target, MountApi wanted) {
  const MountApi api = Usable(wanted);
  RETURN_IF_ERROR(CheckSpec(given));
  LowerMounts mounts(given.scratch);
  ASSIGN_OR_RETURN(const OverlaySpec spec, Nest(given, api, mounts));
  if (api == MountApi::kLegacy) {
    return LegacyMountAt(spec, target);
  }
  absl::StatusOr<UniqueFd> mount = NewApiMount(spec);
  if (!mount.ok()) {
    const bool lacking = mount.status().code() == absl::StatusCode::kUnimplemented;
    return lacking && api == MountApi::kAuto ? Remember(LegacyMountAt(spec, target))
                                             : mount.status();
  }
  return AttachMount(mount->get(), target);
}

absl::StatusOr<UniqueFd> OpenOverlay(const OverlaySpec& given, const std::string& scratch,
                                     MountApi wanted) {
  const MountApi api = Usable(wanted);
  OverlaySpec whole = given;
  whole.scratch = scratch;
  RETURN_IF_ERROR(CheckSpec(whole));
  LowerMounts mounts(scratch);
  ASSIGN_OR_RETURN(const OverlaySpec spec, Nest(whole, api, mounts));
  if (api != MountApi::kLegacy) {
    absl::StatusOr<UniqueFd> mount = NewApiMount(spec);
    const bool lacking = mount.status().code() == absl::StatusCode::kUnimplemented;
    if (mount.ok() || !lacking || api == MountApi::kNew) {
      return mount;
    }
  }
  const std::string target = JoinPath(scratch, NewId().substr(0, 16));
  RETURN_IF_ERROR(MakeDirs(target));
  absl::Status mounted = LegacyMountAt(spec, target);
  if (api == MountApi::kAuto) {
    mounted = Remember(std::move(mounted));
  }
  absl::StatusOr<UniqueFd> root =
      mounted.ok() ? Open(target, O_PATH | O_DIRECTORY) : absl::StatusOr<UniqueFd>(mounted);
  // Detached, the mount lives as long as the descriptor.
  RETURN_IF_ERROR(Unmount(target));
  RETURN_IF_ERROR(RemoveFile(target));
  return root;
}

absl::StatusOr<bool> IsMountPoint(const std::string& path) {
  struct statx stx = {};
  if (statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE, &stx) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return false;
    }
    return ErrnoStatus(errno, "stat " + path);
  }
  return (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

}  // namespace davit::storage
