// SPDX-License-Identifier: Apache-2.0
//
// The builders of the config's sections, one .cc file each: for spec.cc and the tests of this
// folder only (JSON is heavy). All are pure but for the reads that spec.h names, and thread-safe.
// Errors name the field of the CRI request.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/json.h"
#include "server/spec/spec.h"

namespace davit::server::spec {

using Json = nlohmann::json;

inline const runtime::v1::LinuxContainerSecurityContext& SecurityContext(const SpecInput& input) {
  return input.container.linux().security_context();
}
inline bool IsPrivileged(const SpecInput& input) {
  return SecurityContext(input).privileged();
}

// user.cc: who the process runs as. `groups` begins with the primary group: without it the process
// could lose a group by setgroups and so step round a permission that excludes that group.
struct User {
  int64_t uid = 0;
  int64_t gid = 0;
  std::vector<int64_t> groups;
  std::string home = "/";
  // The account files with an entry for this user or group, where the image's have none.
  std::string passwd = {};
  std::string group = {};
};
absl::StatusOr<User> ResolveUser(const SpecInput& input);

// capabilities.cc: `granted` is bounding, permitted and effective set. Inheritable is empty but for
// what was asked for as ambient, which the kernel takes from the inheritable set only. Privileged
// is all that the daemon has, whatever is added or dropped.
struct Capabilities {
  std::set<std::string> granted;
  std::set<std::string> ambient;
};
absl::StatusOr<Capabilities> ResolveCapabilities(const SpecInput& input);
Json CapabilitiesJson(const Capabilities& capabilities);

// process.cc: the process object, but for the AppArmor profile.
absl::StatusOr<Json> BuildProcess(const SpecInput& input, const User& user,
                                  const Capabilities& capabilities);

// stop_signal.cc: the request's, else the image's.
absl::StatusOr<runtime::v1::Signal> ResolveStopSignal(const SpecInput& input);

// mounts.cc: parents before children.
struct Mounts {
  Json list = Json::array();
  std::string rootfs_propagation;  // "" leaves the runtime's default
};
absl::StatusOr<Mounts> BuildMounts(const SpecInput& input);

// user_namespace.cc: what the pod's user namespace asks of a container.
absl::Status CheckUserNamespace(const SpecInput& input);
absl::Status CheckUserIsMapped(const SpecInput& input, const User& user);
bool IsMapped(const google::protobuf::RepeatedPtrField<runtime::v1::IDMapping>& mappings,
              int64_t id);
// Whether the mount's mappings are those of the pod's user namespace.
bool IsMappedAsPod(const SpecInput& input, const runtime::v1::Mount& mount);
Json IdMappingsJson(const google::protobuf::RepeatedPtrField<runtime::v1::IDMapping>& mappings);

// namespaces.cc
absl::StatusOr<Json> BuildNamespaces(const SpecInput& input);

// devices.cc: the nodes to make and the rules of the device cgroup. `dev_root` is "/dev".
struct Devices {
  Json nodes = Json::array();
  Json rules = Json::array();
};
absl::StatusOr<Devices> BuildDevices(const SpecInput& input, const std::string& dev_root);

// resources.cc: linux.resources without devices. `sys_root` tells which controllers there are.
absl::StatusOr<Json> BuildResources(const runtime::v1::LinuxContainerResources& resources,
                                    bool cgroup_v2, const std::string& sys_root);

// security.cc: what has no place in the config and the host cannot give is refused here.
absl::Status CheckSupported(const SpecInput& input);
struct PathLists {
  Json masked = Json::array();
  Json readonly = Json::array();
};
absl::StatusOr<PathLists> BuildPathLists(const SpecInput& input);
// The label of this process; "" for none.
std::string ProcessLabel(const SpecInput& input, const Json& process);
bool KernelHasSelinux(const std::string& sys_root);

// apparmor.cc: the profile to run under, "" for none.
absl::StatusOr<std::string> ResolveAppArmor(const SpecInput& input);

// seccomp.cc: linux.seccomp, null for unconfined.
absl::StatusOr<Json> BuildSeccomp(const SpecInput& input, const Capabilities& capabilities);
// Turns a profile in the form that container engines share (names, archMap, includes, excludes)
// into linux.seccomp. `what` names it in errors.
absl::StatusOr<Json> ConvertSeccompProfile(const Json& profile,
                                           const std::set<std::string>& capabilities,
                                           const std::string& what);
// SCMP_ARCH_* of this machine, the native one first.
std::vector<std::string> SeccompArchitectures();

// seccomp_default.cc: the profile of RuntimeDefault, for a process with these capabilities.
Json DefaultSeccomp(const std::set<std::string>& capabilities);

// seccomp_notifier.cc: has the calls that linux.seccomp refuses notified over the socket `listener`
// instead. Returns the file that the monitor answers from; "" if the profile refuses nothing, which
// leaves it as it is. What kills goes on to kill. FailedPrecondition for a path that is too long.
absl::StatusOr<std::string> AddSeccompNotifier(const std::string& listener, Json& seccomp);

// cdi.cc: the edits of the CDI devices that the request names, applied to the whole config.
absl::Status ApplyCdi(const SpecInput& input, Json& config);

// hooks.cc: the OCI hooks of runtime.hooks_dirs whose conditions the container meets.
absl::Status AddHooks(const SpecInput& input, Json& config);

// rdt.cc: linux.intelRdt, null without the annotation.
absl::StatusOr<Json> BuildRdt(const SpecInput& input);

// blockio.cc: linux.resources.blockIO, null without the annotation.
absl::StatusOr<Json> BuildBlockIo(const SpecInput& input);

// class_request.cc: the class of a kind of resources ("rdt", "blockio") that annotations ask for,
// of those that the handler allows; the first of
//   io.kubernetes.cri.KIND-class                       of the container
//   KIND.resources.beta.kubernetes.io/container.NAME   of the pod
//   KIND.resources.beta.kubernetes.io/pod              of the pod
//   io.kubernetes.cri.KIND-class                       of the pod
// An empty name is no class, and ends the search.
struct ClassRequest {
  std::string annotation;
  std::string name;
};
ClassRequest RequestedClass(const SpecInput& input, const std::string& kind);

// annotations.cc
Json BuildAnnotations(const SpecInput& input);

}  // namespace davit::server::spec
