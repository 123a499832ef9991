// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "server/spec/apparmor.h"

namespace davit::server::spec {
namespace {

// Capabilities, namespaces and read-only mounts say most of what a container may do. This holds
// where one of them was given away: no mounts, nothing of the host's kernel is set, no process
// outside the profile is signalled or traced. Sysctls of the container's own namespaces (net,
// msg*, shm*, sem, mqueue) stay writable, as does its own part of /sys/fs/cgroup.
constexpr char kProfile[] = R"(profile NAME flags=(attach_disconnected, mediate_deleted) {
  file,
  network,
  capability,
  umount,

  # Among themselves, and ended by davit and its OCI runtime.
  signal (send, receive) peer=NAME,
  signal (receive) peer=unconfined,
  ptrace peer=NAME,

  # Memory and keys of the kernel, and what stops the machine.
  deny /proc/{kcore,kmem,mem,kallsyms,kpagecount,kpageflags,sysrq-trigger} rwklx,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/{debug,security,tracing}/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,

  # Settings of the host.
  deny /proc/{acpi,asound,bus,driver,fs,irq,scsi,tty}/** wklx,
  deny /proc/{mtrr,timer_list,sched_debug,latency_stats} wklx,
  deny /proc/sys/{abi,debug,dev,sunrpc,user,vm}/** wklx,
  deny /proc/sys/fs/[^m]** wklx,
  deny /proc/sys/kernel/[^ms]** wklx,
  deny /proc/sys/kernel/{m[^s],s[^eh]}** wklx,
  deny /sys/{block,bus,class,dev,devices,hypervisor,kernel,module,power}/** wklx,
  deny /sys/fs/{bpf,btrfs,ext4,f2fs,fuse,pstore,resctrl,selinux,smackfs,xfs}/** wklx,
}
)";

}  // namespace

std::string DefaultAppArmorProfileText() {
  std::string text = kProfile;
  for (size_t at = text.find("NAME"); at != std::string::npos; at = text.find("NAME", at)) {
    text.replace(at, 4, kDefaultAppArmorProfile);
  }
  return text;
}

absl::Status LoadDefaultAppArmorProfile(Context& ctx) {
  if (!KernelHasAppArmor()) {
    return absl::OkStatus();
  }
  const auto parser = FindProgram("apparmor_parser");
  if (!parser.ok()) {
    return FailedPrecondition("AppArmor profile {}: {}; install the package apparmor",
                              kDefaultAppArmorProfile, Message(parser.status()));
  }
  SpawnOptions spawn;
  spawn.argv = {*parser, "--replace", "--skip-cache"};
  spawn.env = MinimalEnv();
  spawn.new_session = true;
  ASSIGN_OR_RETURN(const RunResult result,
                   Run(ctx, spawn, RunOptions{.input = DefaultAppArmorProfileText()}));
  if (result.exit.code != 0) {
    return FailedPrecondition("AppArmor profile {}: apparmor_parser says: {}",
                              kDefaultAppArmorProfile, Printable(Trim(result.err), 1000));
  }
  return absl::OkStatus();
}

}  // namespace davit::server::spec
