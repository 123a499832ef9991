// SPDX-License-Identifier: Apache-2.0
#include <limits.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string_view>

#include <fmt/format.h>

#include "base/mount.h"
#include "base/status.h"
#include "base/text.h"
#include "server/spec/container_path.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

using Options = std::vector<std::string>;

constexpr int kTtyGroup = 5;

// Ordered by what it asks of the root mount.
enum class RootPropagation { kDefault, kSlave, kShared };

struct Mount {
  std::string destination;
  std::string type;
  std::string source;
  Options options;
};

Mount Bind(const std::string& destination, const std::string& source, Options options) {
  return {destination, "bind", source, std::move(options)};
}

void AddKernelMounts(const SpecInput& input, std::vector<Mount>& mounts) {
  const std::string access = IsPrivileged(input) ? "rw" : "ro";
  mounts.push_back({"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}});
  mounts.push_back(
      {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}});
  Options terminals = {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"};
  const auto& pod = input.sandbox.linux().security_context().namespace_options();
  if (!HasUserNamespace(input.sandbox) || IsMapped(pod.userns_options().gids(), kTtyGroup)) {
    terminals.push_back(fmt::format("gid={}", kTtyGroup));
  }
  mounts.push_back({"/dev/pts", "devpts", "devpts", std::move(terminals)});
  mounts.push_back({"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}});
  if (input.host_sys.empty()) {
    mounts.push_back({"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}});
  } else {
    mounts.push_back(
        {"/sys", "bind", input.host_sys, {"rbind", "rprivate", "nosuid", "noexec", "nodev", "ro"}});
  }
  // Runtimes take type cgroup for v2 as well.
  mounts.push_back(
      {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", access}});
}

void AddPodMounts(const SpecInput& input, std::vector<Mount>& mounts) {
  if (input.shm.empty()) {
    mounts.push_back(
        {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}});
  } else {
    mounts.push_back(
        Bind("/dev/shm", input.shm, {"bind", "rprivate", "nosuid", "noexec", "nodev", "rw"}));
  }
  const std::string access = SecurityContext(input).readonly_rootfs() ? "ro" : "rw";
  const std::pair<const char*, const std::string*> accounts[] = {
      {"/etc/passwd", &input.passwd_file}, {"/etc/group", &input.group_file}};
  for (const auto& [destination, source] : accounts) {
    if (!source->empty()) {
      mounts.push_back(
          Bind(destination, *source, {"bind", "rprivate", "nosuid", "noexec", "nodev", access}));
    }
  }
  const std::pair<const char*, const std::string*> files[] = {
      {"/etc/resolv.conf", &input.resolv_conf},
      {"/etc/hostname", &input.hostname_file},
      {"/etc/hosts", &input.hosts_file}};
  for (const auto& [destination, source] : files) {
    if (!source->empty()) {
      mounts.push_back(
          Bind(destination, *source, {"bind", "rprivate", "nosuid", "noexec", "nodev", "ro"}));
    }
  }
}

absl::Status RefuseUnsupported(const SpecInput& input, const runtime::v1::Mount& mount,
                               const std::string& where) {
  if (!mount.image_sub_path().empty() && !IsImageVolume(mount)) {
    return InvalidArgument("{}image_sub_path: needs image", where);
  }
  if (IsMappedMount(mount) && (mount.uidmappings_size() == 0 || mount.gidmappings_size() == 0)) {
    return InvalidArgument("{}{}: is empty; an ID-mapped mount needs users and groups", where,
                           mount.uidmappings_size() == 0 ? "uidMappings" : "gidMappings");
  }
  if (mount.propagation() == runtime::v1::PROPAGATION_BIDIRECTIONAL &&
      (IsMappedMount(mount) || HasUserNamespace(input.sandbox))) {
    return InvalidArgument(
        "{}propagation PROPAGATION_BIDIRECTIONAL: no mount comes to the host out of {}; "
        "PROPAGATION_HOST_TO_CONTAINER is possible",
        where, IsMappedMount(mount) ? "an ID-mapped mount" : "a user namespace");
  }
  // Nothing is mounted beneath an image volume.
  if (mount.recursive_read_only() && !IsImageVolume(mount) && !input.recursive_read_only_mounts) {
    return Unimplemented(
        "{}recursive_read_only: the OCI runtime of this pod does not say that it supports "
        "recursively read-only mounts (mount option rro in its features)",
        where);
  }
  // Without SELinux in the kernel there are no labels: nothing is left undone.
  if (mount.selinux_relabel() && !input.selinux_is_on && KernelHasSelinux(input.sys_root)) {
    return Unimplemented(
        "{}selinux_relabel: this node labels nothing; set runtime.selinux in its configuration",
        where);
  }
  return absl::OkStatus();
}

// The real path, so that what is checked here is what the runtime binds.
absl::StatusOr<std::string> ResolveSource(const std::string& path, const std::string& where) {
  if (path.empty() || path.front() != '/') {
    return InvalidArgument("{}host_path \"{}\": must be an absolute path", where, Printable(path));
  }
  if (path.find('\0') != std::string::npos) {
    return InvalidArgument("{}host_path \"{}\": holds a NUL byte", where, Printable(path));
  }
  const std::unique_ptr<char, decltype(&free)> real(realpath(path.c_str(), nullptr), &free);
  if (!real) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENAMETOOLONG) {
      return InvalidArgument("{}host_path {}: {}; make it before the container is created", where,
                             Printable(path), ErrnoText(error));
    }
    return ErrnoStatus(error, where + "host_path " + Printable(path));
  }
  return std::string(real.get());
}

absl::StatusOr<std::string> SourceOf(const SpecInput& input, int index, const std::string& where) {
  const auto known = input.mount_sources.find(index);
  return known != input.mount_sources.end()
             ? known->second
             : ResolveSource(input.container.mounts(index).host_path(), where);
}

absl::Status RequireShared(const std::string& source, const std::string& where, bool or_slave) {
  ASSIGN_OR_RETURN(const MountEntry entry, MountOf(source));
  if (entry.shared || (or_slave && entry.slave)) {
    return absl::OkStatus();
  }
  return FailedPrecondition(
      "{}propagation: host path {} lies on the mount {}, which is not {}; run `mount "
      "--make-rshared "
      "{}` on the host",
      where, source, entry.target, or_slave ? "shared or a slave" : "shared", entry.target);
}

struct Propagation {
  std::string option;
  RootPropagation root = RootPropagation::kDefault;
};

absl::StatusOr<Propagation> ResolvePropagation(const runtime::v1::Mount& mount,
                                               const std::string& source,
                                               const std::string& where) {
  switch (mount.propagation()) {
    case runtime::v1::PROPAGATION_PRIVATE:
      return Propagation{"rprivate", RootPropagation::kDefault};
    case runtime::v1::PROPAGATION_HOST_TO_CONTAINER:
      RETURN_IF_ERROR(RequireShared(source, where, /*or_slave=*/true));
      return Propagation{"rslave", RootPropagation::kSlave};
    case runtime::v1::PROPAGATION_BIDIRECTIONAL:
      RETURN_IF_ERROR(RequireShared(source, where, /*or_slave=*/false));
      return Propagation{"rshared", RootPropagation::kShared};
    default:
      return InvalidArgument("{}propagation {}: unknown value", where,
                             static_cast<int>(mount.propagation()));
  }
}

// What a recursively read-only mount may be with, by the CRI: nothing writable may come in later.
absl::StatusOr<std::string> Access(const runtime::v1::Mount& mount, const std::string& where) {
  if (!mount.recursive_read_only()) {
    return std::string(mount.readonly() ? "ro" : "rw");
  }
  if (!mount.readonly()) {
    return InvalidArgument("{}recursive_read_only: needs readonly", where);
  }
  if (mount.propagation() != runtime::v1::PROPAGATION_PRIVATE) {
    return InvalidArgument("{}recursive_read_only: needs propagation PROPAGATION_PRIVATE", where);
  }
  return std::string("rro");
}

constexpr std::array<std::string_view, 3> kMountOptions = {"noexec", "nodev", "nosuid"};

// The CRI has these three, which only take something from the container.
absl::Status AddMountOptions(const runtime::v1::Mount& mount, const std::string& where,
                             Options& options) {
  for (const std::string& option : mount.mount_options()) {
    if (std::find(kMountOptions.begin(), kMountOptions.end(), option) == kMountOptions.end()) {
      return InvalidArgument("{}mount_options \"{}\": must be noexec, nodev or nosuid", where,
                             Printable(option));
    }
    if (std::find(options.begin(), options.end(), option) == options.end()) {
      options.push_back(option);
    }
  }
  return absl::OkStatus();
}

struct Requested {
  std::vector<Mount> mounts;
  RootPropagation root = RootPropagation::kDefault;
};

// Propagation has no meaning here: the mount never changes.
absl::StatusOr<Mount> ImageVolume(const SpecInput& input, int index,
                                  const std::string& destination) {
  const auto source = input.image_volumes.find(index);
  if (source == input.image_volumes.end()) {
    return Internal("mounts[{}].image: is not mounted on the host", index);
  }
  if (const auto& mount = input.container.mounts(index);
      IsMappedMount(mount) && !IsMappedAsPod(input, mount)) {
    return InvalidArgument(
        "mounts[{}].uidMappings: an image volume has the owners that the pod's user namespace "
        "gives it, and no others",
        index);
  }
  if (!IsUtf8(source->second)) {
    return InvalidArgument("mounts[{}].image_sub_path: leads to {}, whose name is not UTF-8", index,
                           Printable(source->second));
  }
  return Bind(destination, source->second, {"bind", "rprivate", "nosuid", "nodev", "ro"});
}

absl::Status AddRequested(const SpecInput& input, int index, Requested& result) {
  const runtime::v1::Mount& mount = input.container.mounts(index);
  const std::string where = fmt::format("mounts[{}].", index);
  RETURN_IF_ERROR(RefuseUnsupported(input, mount, where));
  ASSIGN_OR_RETURN(const std::string destination,
                   CleanContainerPath(mount.container_path(), where + "container_path"));
  if (destination == "/") {
    return InvalidArgument("{}container_path: must not be the root directory", where);
  }
  for (const Mount& other : result.mounts) {
    if (other.destination == destination) {
      return InvalidArgument("{}container_path {}: two mounts name this path", where, destination);
    }
  }
  if (IsImageVolume(mount)) {
    ASSIGN_OR_RETURN(Mount volume, ImageVolume(input, index, destination));
    RETURN_IF_ERROR(AddMountOptions(mount, where, volume.options));
    result.mounts.push_back(std::move(volume));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string access, Access(mount, where));
  ASSIGN_OR_RETURN(const std::string source, SourceOf(input, index, where));
  ASSIGN_OR_RETURN(const Propagation propagation, ResolvePropagation(mount, source, where));
  result.root = std::max(result.root, propagation.root);
  Options options = {"rbind", propagation.option, access};
  RETURN_IF_ERROR(AddMountOptions(mount, where, options));
  const auto own = input.own_mounts.find(index);
  if (IsMappedMount(mount) && own == input.own_mounts.end()) {
    return Internal("{}uidMappings: the ID-mapped mount has not been made", where);
  }
  result.mounts.push_back(
      Bind(destination, own != input.own_mounts.end() ? own->second : source, std::move(options)));
  return absl::OkStatus();
}

bool IsTaken(const Requested& result, const std::string& destination) {
  return std::any_of(result.mounts.begin(), result.mounts.end(),
                     [&](const Mount& each) { return each.destination == destination; });
}

// "SOURCE:DESTINATION[:ro|rw]" of the node's configuration, in every container whose request has
// nothing there.
absl::Status AddNodeMounts(const SpecInput& input, Requested& result) {
  for (const std::string& text : input.host.default_mounts) {
    const std::string where = "runtime.default_mounts \"" + Printable(text) + "\": ";
    const std::vector<std::string> parts = Split(text, ':');
    const std::string access = parts.size() == 3 ? parts[2] : "ro";
    if (parts.size() < 2 || parts.size() > 3 || (access != "ro" && access != "rw")) {
      return FailedPrecondition("{}must be SOURCE:DESTINATION, with :ro or :rw", where);
    }
    ASSIGN_OR_RETURN(const std::string destination, CleanContainerPath(parts[1], where));
    if (IsTaken(result, destination)) {
      continue;
    }
    const auto source = ResolveSource(parts[0], where);
    if (!source.ok()) {
      return WithCode(absl::StatusCode::kFailedPrecondition, source.status());
    }
    result.mounts.push_back(Bind(destination, *source, {"rbind", "rprivate", access}));
  }
  return absl::OkStatus();
}

// Of mounts at one path the request's counts.
absl::Status AddDeclaredVolumes(const SpecInput& input, Requested& result) {
  for (const auto& [path, source] : input.declared_volumes) {
    ASSIGN_OR_RETURN(const std::string destination, CleanContainerPath(path, "image volume"));
    if (destination == "/" || !IsUtf8(destination)) {
      return InvalidArgument("image volume \"{}\": cannot be a mount point", Printable(path));
    }
    if (!IsTaken(result, destination)) {
      result.mounts.push_back(Bind(destination, source, {"bind", "rprivate", "rw"}));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Requested> RequestedMounts(const SpecInput& input) {
  Requested result;
  for (int i = 0; i < input.container.mounts_size(); ++i) {
    RETURN_IF_ERROR(AddRequested(input, i, result));
  }
  RETURN_IF_ERROR(AddNodeMounts(input, result));
  RETURN_IF_ERROR(AddDeclaredVolumes(input, result));
  return result;
}

// A request's mount replaces the default one of its path, and with /dev, /sys or /proc what stands
// beneath: a request for the host's /dev wants the host's /dev/pts too.
bool IsReplaced(const Mount& standard, const std::vector<Mount>& requested) {
  return std::any_of(requested.begin(), requested.end(), [&standard](const Mount& mount) {
    const std::string& path = mount.destination;
    return path == standard.destination || ((path == "/dev" || path == "/sys" || path == "/proc") &&
                                            IsAtOrBeneath(standard.destination, path));
  });
}

// In a user namespace the kernel takes no flag of a mount away: a runtime that binds and then sets
// other flags than the source has, without these, is refused or has them lost.
void KeepFlags(Mount& mount) {
  struct statvfs fs = {};
  if (mount.type != "bind" || statvfs(mount.source.c_str(), &fs) != 0) {
    return;  // what is wrong with the source the runtime says
  }
  const std::pair<unsigned long, const char*> flags[] = {{ST_NOSUID, "nosuid"},
                                                         {ST_NODEV, "nodev"},
                                                         {ST_NOEXEC, "noexec"},
                                                         {ST_NOATIME, "noatime"},
                                                         {ST_NODIRATIME, "nodiratime"}};
  for (const auto& [flag, option] : flags) {
    const auto end = mount.options.end();
    if ((fs.f_flag & flag) != 0 && std::find(mount.options.begin(), end, option) == end) {
      mount.options.emplace_back(option);
    }
  }
  if ((fs.f_flag & ST_RDONLY) != 0) {
    std::replace(mount.options.begin(), mount.options.end(), std::string("rw"), std::string("ro"));
  }
}

std::string PropagationName(RootPropagation propagation) {
  switch (propagation) {
    case RootPropagation::kDefault:
      return "";
    case RootPropagation::kSlave:
      return "rslave";
    case RootPropagation::kShared:
      return "rshared";
  }
  return "";
}

}  // namespace

absl::StatusOr<Mounts> BuildMounts(const SpecInput& input) {
  ASSIGN_OR_RETURN(Requested requested, RequestedMounts(input));
  std::vector<Mount> mounts;
  AddKernelMounts(input, mounts);
  AddPodMounts(input, mounts);
  mounts.erase(std::remove_if(
                   mounts.begin(), mounts.end(),
                   [&requested](const Mount& each) { return IsReplaced(each, requested.mounts); }),
               mounts.end());
  mounts.insert(mounts.end(), requested.mounts.begin(), requested.mounts.end());
  if (HasUserNamespace(input.sandbox)) {
    std::for_each(mounts.begin(), mounts.end(), KeepFlags);
  }
  // A parent mounted after its child would hide it.
  std::stable_sort(mounts.begin(), mounts.end(), [](const Mount& a, const Mount& b) {
    return PathDepth(a.destination) < PathDepth(b.destination);
  });
  Mounts result;
  for (const Mount& mount : mounts) {
    result.list.push_back({{"destination", mount.destination},
                           {"type", mount.type},
                           {"source", mount.source},
                           {"options", mount.options}});
  }
  result.rootfs_propagation = PropagationName(requested.root);
  return result;
}

}  // namespace davit::server::spec
