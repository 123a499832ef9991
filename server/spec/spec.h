// SPDX-License-Identifier: Apache-2.0
//
// Builds the OCI runtime config.json from image config + pod + container + node defaults. One
// builder file for each section of the spec (process.cc, mounts.cc, namespaces.cc, resources.cc,
// security.cc …). Pure but for reading the image's passwd and group files beneath an open root and
// stat of mount sources and devices.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "config/config.h"
#include "image/image_config.h"
#include "server/api/api.pb.h"

namespace davit::server::spec {

// Pins to join; "" means: user, network, ipc, uts: the host's; pid: a new one of the container's
// own, unless host_pid.
struct NamespacePaths {
  std::string user{};  // owns the pod's others; "" for the node's
  std::string net{};
  std::string ipc{};
  std::string uts{};
  std::string pid{};
  bool host_pid = false;
};

// Whether the pod asks for a user namespace of its own.
inline bool HasUserNamespace(const runtime::v1::PodSandboxConfig& sandbox) {
  const auto& options = sandbox.linux().security_context().namespace_options();
  return options.has_userns_options() && options.userns_options().mode() == runtime::v1::POD;
}

// Whether the mount is to be ID-mapped.
inline bool IsMappedMount(const runtime::v1::Mount& mount) {
  return mount.uidmappings_size() > 0 || mount.gidmappings_size() > 0;
}

// Whether what is mounted is an image or OCI artifact, not a host path.
inline bool IsImageVolume(const runtime::v1::Mount& mount) {
  return !mount.image().image().empty();
}

// What the node's administrator adds to containers, and where it is found.
struct HostSettings {
  std::vector<std::string> cdi_dirs = {"/etc/cdi", "/var/run/cdi"};  // later ones win
  std::vector<std::string> hooks_dirs = {"/usr/share/containers/oci/hooks.d"};
  std::vector<std::string> default_mounts = {};      // "SOURCE:DESTINATION[:ro|rw]"
  std::vector<std::string> additional_devices = {};  // "HOST[:CONTAINER][:rwm]"
  std::vector<std::string> allowed_devices = {"/dev/fuse", "/dev/net/tun"};  // by annotation
  bool device_ownership_from_security_context = false;
};

// SELinux labels of a container; "" for none.
struct SelinuxLabels {
  std::string process{};
  std::string init{};   // of the process, where it is an init system
  std::string mount{};  // of what the OCI runtime mounts
};

struct SpecInput {
  const runtime::v1::PodSandboxConfig& sandbox;
  const runtime::v1::ContainerConfig& container;
  const image::ImageConfig& image;
  const config::Runtime& node;
  HostSettings host{};
  std::string container_id{};
  std::string sandbox_id{};
  std::string rootfs{};  // host path of the mounted overlay
  int root_fd = -1;      // O_PATH of the image root: passwd, group, working directory
  NamespacePaths namespaces{};
  // Host paths of the request's image volumes, by the index of their mount; read-only mounts.
  std::map<int, std::string> image_volumes{};
  // Where the host paths of the request's mounts lead, without symlinks, by the index of the mount;
  // one that is not here is resolved when the config is built.
  std::map<int, std::string> mount_sources{};
  // Host paths of Davit's own copies of the request's mounts, by their index: bound instead of what
  // they are copies of. ID-mapped mounts have to be among them.
  std::map<int, std::string> own_mounts{};
  // Volumes that the image declares and the request does not mount: container path -> host path.
  std::map<std::string, std::string> declared_volumes{};
  std::string resolv_conf{};  // host files to bind read-only in, "" for none
  std::string hostname_file{};
  std::string hosts_file{};
  // Where SpecOutput's passwd and group are to be written; "" makes none.
  std::string passwd_path{};
  std::string group_path{};
  // Set by BuildSpec: those of the two that are to be mounted.
  std::string passwd_file{};
  std::string group_file{};
  std::string hostname{};  // value of HOSTNAME in env
  std::string shm{};       // host path of the pod's /dev/shm, "/dev/shm" for host IPC
  // A read-only copy of the host's /sys: for a pod with a user namespace of its own on the host's
  // network, to which the kernel gives no other.
  std::string host_sys{};
  std::string cgroup{};  // linux.cgroupsPath
  bool cgroup_v2 = false;
  std::set<std::string> own_capabilities{};
  int lowest_oom_score_adj = -1000;
  bool privileged_without_host_devices = false;
  bool recursive_read_only_mounts = false;  // the runtime knows the mount option rro
  SelinuxLabels selinux{};
  // The node labels containers: what the request asks for is in the labels above, and done.
  bool selinux_is_on = false;
  // The socket where forbidden system calls are to be notified (seccomp_notifier.h); "": nowhere.
  std::string seccomp_listener{};
  // Annotations that the runtime handler may see: a key, or a prefix ending in '*'. All others stay
  // out of the config: to an OCI runtime annotations can be commands.
  std::vector<std::string> allowed_annotations{};
  std::string sys_root = "/sys";  // another tree in tests
};

struct SpecOutput {
  std::string config_json;
  // The image's account files with an entry more, for a user or group that they do not have: to be
  // written to passwd_path and group_path before the container starts. "": nothing is mounted
  // there.
  std::string passwd;
  std::string group;
  // With a seccomp_listener: what the monitor answers from. "": nothing is forbidden.
  std::string seccomp_calls;
  runtime::v1::ContainerUser user;
  runtime::v1::Signal stop_signal = runtime::v1::SIGNAL_RUNTIME_DEFAULT;  // request, else image
};

// InvalidArgument / FailedPrecondition naming the field that cannot be honoured.
absl::StatusOr<SpecOutput> BuildSpec(const SpecInput& input);

// The process object of an exec: what the container's config.json has (user, env, caps, cwd …) with
// other arguments. `cpu`: where it is to run (execCPUAffinity of runtime-spec 1.3, which older OCI
// runtimes pass over).
absl::StatusOr<std::string> ExecProcess(const std::string& config_json,
                                        const std::vector<std::string>& command, bool tty,
                                        std::optional<int> cpu = {});

// linux.resources for `update`, from a CRI resources message. A quota that is lifted (-1) is not in
// it: old OCI runtimes cannot write that.
absl::StatusOr<std::string> UpdateResources(const runtime::v1::LinuxContainerResources& resources,
                                            bool cgroup_v2);

// What is wrong with a file of block I/O classes (runtime.blockio_config).
absl::Status CheckBlockIoFile(const std::string& path);

// Sysctls of a pod: only those of namespaces the pod has for itself (net.*, kernel.shm*,
// kernel.msg*, kernel.sem, fs.mqueue.*); others are InvalidArgument naming key and reason. Keys and
// values are checked for characters that do not belong.
absl::Status CheckSysctls(const runtime::v1::PodSandboxConfig& sandbox);

}  // namespace davit::server::spec
