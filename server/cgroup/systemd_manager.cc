// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "server/api/api.pb.h"
#include "server/cgroup/managers.h"
#include "server/cgroup/names.h"
#include "server/cgroup/pod_resources.h"
#include "server/cgroup/slice_properties.h"
#include "server/cgroup/systemd_bus.h"

namespace davit::server {
namespace {

constexpr std::string_view kPrefix = "davit-";
// Beneath a scope, on cgroup v2: crun keeps a container's processes and their limits there.
constexpr char kInnerCgroup[] = "container";
// The initial PID namespace has this number for ever: PROC_PID_INIT_INO of the kernel.
constexpr ino_t kFirstPidNamespace = 0xEFFFFFFC;

std::string ParentOf(const std::string& cgroup) {
  return cgroup.substr(0, cgroup.rfind('/'));
}

}  // namespace

absl::Status SystemdManager::Check() {
  if (!PathExists("/run/systemd/system")) {
    return FailedPrecondition(
        "systemd is not the init system of this machine; set runtime.cgroup_manager to cgroupfs, "
        "and cgroupDriver of the kubelet with it");
  }
  struct stat own = {};
  if (stat("/proc/self/ns/pid", &own) != 0 || own.st_ino != kFirstPidNamespace) {
    return FailedPrecondition(
        "davit is in a PID namespace of its own: systemd would take the numbers of its processes "
        "for those of others; set runtime.cgroup_manager to cgroupfs");
  }
  const auto failed = systemd::FailedUnits(std::string(kPrefix) + "*.scope");
  if (!failed.ok()) {
    return FailedPrecondition(
        "{}; is dbus running? Else set runtime.cgroup_manager to cgroupfs, and cgroupDriver of the "
        "kubelet with it",
        Message(failed.status()));
  }
  // A scope whose processes were killed for want of memory stays for somebody to look at. Nobody
  // does: Davit's records say it.
  for (const std::string& unit : *failed) {
    RETURN_IF_ERROR(systemd::ResetFailed(unit));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> SystemdManager::PodCgroup(const std::string& requested,
                                                      const std::string& default_parent,
                                                      const std::string& sandbox_id) const {
  if (requested.empty()) {
    ASSIGN_OR_RETURN(const std::string parent, SliceFor(default_parent));
    return SlicePath(parent.substr(0, parent.rfind('.')) + "-pod" + sandbox_id + ".slice");
  }
  ASSIGN_OR_RETURN(const std::string path, NormalizeCgroup(requested));
  if (!IsSlice(path)) {
    return InvalidArgument(
        "cgroup parent {} is not a slice, but runtime.cgroup_manager is systemd: it has to be "
        "named NAME.slice; cgroupDriver of the kubelet has to be systemd, too",
        Printable(requested));
  }
  ASSIGN_OR_RETURN(std::string slice_path, SlicePath(UnitOf(path)));
  if (ParentOf(path) != "" && path != slice_path) {
    return InvalidArgument("cgroup parent {}: systemd has that slice at {}", Printable(requested),
                           slice_path);
  }
  return slice_path;
}

std::string SystemdManager::ContainerCgroup(const std::string& pod_cgroup,
                                            const std::string& container_id) const {
  return IsSlice(pod_cgroup) ? JoinPath(pod_cgroup, std::string(kPrefix) + container_id + ".scope")
                             : CgroupfsManager::ContainerCgroup(pod_cgroup, container_id);
}

std::string SystemdManager::OwnCgroup(const std::string& parent, const std::string& kind,
                                      const std::string& id) const {
  return IsSlice(parent) ? JoinPath(parent, std::string(kPrefix) + kind + "-" + id + ".scope")
                         : CgroupfsManager::OwnCgroup(parent, kind, id);
}

// "SLICE:PREFIX:NAME", of which runtimes make the scope PREFIX-NAME.scope.
std::string SystemdManager::OciPath(const std::string& container_cgroup) const {
  if (!MadeBySystemd(container_cgroup)) {
    return CgroupfsManager::OciPath(container_cgroup);
  }
  const std::string scope = UnitOf(container_cgroup);
  return fmt::format("{}:davit:{}", UnitOf(ParentOf(container_cgroup)),
                     scope.substr(kPrefix.size(), scope.rfind('.') - kPrefix.size()));
}

bool SystemdManager::MadeBySystemd(const std::string& container_cgroup) const {
  return IsScope(container_cgroup) && UnitOf(container_cgroup).starts_with(kPrefix);
}

absl::Status SystemdManager::Create(const std::string& cgroup) const {
  if (!IsSlice(cgroup)) {
    return CgroupfsManager::Create(cgroup);
  }
  const absl::Status started =
      systemd::Start(UnitOf(cgroup), {{"Description", std::string("A pod of davit")},
                                      {"DefaultDependencies", false},
                                      {"MemoryAccounting", true},
                                      {"CPUAccounting", true},
                                      {"IOAccounting", true},
                                      {"TasksAccounting", true}});
  return absl::IsAlreadyExists(started) ? absl::OkStatus() : started;
}

absl::Status SystemdManager::Adopt(const std::string& cgroup, pid_t pid) const {
  if (!IsScope(cgroup)) {
    return CgroupfsManager::Adopt(cgroup, pid);
  }
  return systemd::Start(UnitOf(cgroup),
                        {{"Description", std::string("A process of davit")},
                         {"Slice", UnitOf(ParentOf(cgroup))},
                         {"DefaultDependencies", false},
                         {"CollectMode", std::string("inactive-or-failed")},
                         {"PIDs", std::vector<uint32_t>{static_cast<uint32_t>(pid)}}});
}

absl::Status SystemdManager::Remove(const std::string& cgroup) const {
  if (IsSlice(cgroup) || IsScope(cgroup)) {
    const std::string unit = UnitOf(cgroup);
    if (IsSlice(cgroup) || fs_.Exists(cgroup)) {
      RETURN_IF_ERROR(systemd::Stop(unit));
    }
    // One that was killed for want of memory has failed, and would stay.
    RETURN_IF_ERROR(systemd::ResetFailed(unit));
  }
  return CgroupfsManager::Remove(cgroup);
}

// systemd writes what it believes whenever it looks at the slice again: it is told first. What it
// rounds, or does not know, is then written as it was asked for.
absl::Status SystemdManager::SetResources(
    const std::string& cgroup, const runtime::v1::LinuxContainerResources& resources) const {
  if (IsSlice(cgroup)) {
    RETURN_IF_ERROR(CheckPodResources(fs_, cgroup, resources));
    ASSIGN_OR_RETURN(const auto properties,
                     SliceProperties(resources, fs_.mode() == CgroupMode::kV2));
    RETURN_IF_ERROR(systemd::SetProperties(UnitOf(cgroup), properties));
  }
  RETURN_IF_ERROR(CgroupfsManager::SetResources(cgroup, resources));
  // The processes of a scope may have limits of their own, and one there holds though the scope has
  // none.
  const std::string inner = JoinPath(cgroup, kInnerCgroup);
  return IsScope(cgroup) && fs_.Exists(inner) ? CgroupfsManager::SetResources(inner, resources)
                                              : absl::OkStatus();
}

// Without a word systemd would hold a scope to its DefaultTasksMax, a share of what the node has.
absl::Status SystemdManager::NoteResources(const std::string& container_cgroup,
                                           const runtime::v1::LinuxContainerResources& resources,
                                           std::optional<int64_t> pids_limit) const {
  if (!MadeBySystemd(container_cgroup)) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(auto properties, SliceProperties(resources, fs_.mode() == CgroupMode::kV2));
  if (pids_limit) {
    properties.push_back(
        {"TasksMax", *pids_limit == 0 ? UINT64_MAX : static_cast<uint64_t>(*pids_limit)});
  }
  if (properties.empty()) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(systemd::SetProperties(UnitOf(container_cgroup), properties));
  // What it rounds.
  runtime::v1::LinuxContainerResources exact;
  exact.set_cpu_quota(resources.cpu_quota());
  exact.set_cpu_period(resources.cpu_period());
  const absl::Status written = ApplyPodResources(fs_, container_cgroup, exact);
  return fs_.Exists(container_cgroup) ? written : absl::OkStatus();
}

}  // namespace davit::server
