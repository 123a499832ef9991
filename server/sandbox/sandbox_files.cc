// SPDX-License-Identifier: Apache-2.0
#include "server/sandbox/sandbox_files.h"

#include <vector>

#include "base/file.h"
#include "base/mount.h"
#include "base/mount_tree.h"
#include "base/namespace.h"
#include "base/status.h"
#include "network/result.h"
#include "server/sandbox/pod_config.h"
#include "server/sandbox/resolv_conf.h"
#include "server/sandbox/user_namespace.h"
#include "server/spec/spec.h"

namespace davit::server {
namespace {

constexpr uint64_t kShmBytes = uint64_t{64} << 20U;
constexpr mode_t kWorldReadable = 0644;  // every user of the container reads them

absl::Status WriteForPod(const runtime::v1::PodSandboxConfig& config, const std::string& path,
                         const std::string& text) {
  RETURN_IF_ERROR(WriteFileAtomic(path, text, kWorldReadable));
  return GiveToPodRoot(config, path);
}

absl::StatusOr<std::string> ResolvConf(const Sandbox::Record& record) {
  const auto& own = record.config().dns_config();
  if (own.servers_size() + own.searches_size() + own.options_size() > 0) {
    return ResolvConfText(own);
  }
  if (!record.cni_result().empty()) {
    ASSIGN_OR_RETURN(const network::DnsSettings dns, network::ResultDns(record.cni_result()));
    if (!dns.servers.empty()) {
      runtime::v1::DNSConfig config;
      config.mutable_servers()->Assign(dns.servers.begin(), dns.servers.end());
      config.mutable_searches()->Assign(dns.searches.begin(), dns.searches.end());
      config.mutable_options()->Assign(dns.options.begin(), dns.options.end());
      return ResolvConfText(config);
    }
  }
  return HostResolvConf(HostNetwork(record.config()));
}

}  // namespace

bool NeedsHostSys(const runtime::v1::PodSandboxConfig& config) {
  return spec::HasUserNamespace(config) && HostNetwork(config);
}

absl::Status MakeSandboxDir(const Paths& paths, const std::string& id) {
  return MakeDirs(paths.Sandbox(id));
}

absl::Status MakeSandboxFiles(const Paths& paths, const Sandbox::Record& record) {
  const auto& config = record.config();
  if (!HostIpc(config)) {
    const std::string shm = paths.Shm(record.id());
    RETURN_IF_ERROR(MakeDirs(shm));
    RETURN_IF_ERROR(MountTmpfs(shm, kShmBytes));
    RETURN_IF_ERROR(GiveToPodRoot(config, shm));
  }
  if (NeedsHostSys(config)) {
    RETURN_IF_ERROR(AttachMountTree("/sys", paths.HostSys(record.id()), {.readonly = true}));
  }
  return WriteForPod(config, paths.Hostname(record.id()), PodHostname(config) + "\n");
}

absl::Status MakeNameFiles(const Paths& paths, const Sandbox::Record& record) {
  ASSIGN_OR_RETURN(const std::string resolv_conf, ResolvConf(record));
  RETURN_IF_ERROR(WriteForPod(record.config(), paths.ResolvConf(record.id()), resolv_conf));
  std::string text;
  if (HostNetwork(record.config())) {
    text = ReadFile("/etc/hosts", size_t{1} << 20U).value_or("");
  } else {
    text = HostsText(PodHostname(record.config()),
                     std::vector<std::string>(record.ips().begin(), record.ips().end()));
  }
  return WriteForPod(record.config(), paths.Hosts(record.id()), text);
}

absl::Status ReleaseNetworkNamespace(const Paths& paths, const std::string& id) {
  return UnpinNamespace(paths.Pin(id, "net"));
}

absl::Status ReleaseOtherMounts(const Paths& paths, const std::string& id) {
  for (const char* kind : {"ipc", "uts", "pid", "user"}) {
    RETURN_IF_ERROR(UnpinNamespace(paths.Pin(id, kind)));
  }
  RETURN_IF_ERROR(Unmount(paths.HostSys(id)));
  return Unmount(paths.Shm(id));
}

absl::Status RemoveSandboxDir(const Paths& paths, const std::string& id) {
  RETURN_IF_ERROR(ReleaseNetworkNamespace(paths, id));
  RETURN_IF_ERROR(ReleaseOtherMounts(paths, id));
  absl::Status removed = RemoveTree(paths.Sandbox(id));
  if (absl::IsFailedPrecondition(removed)) {
    // Something else is mounted there: a mount within the pod's /dev/shm that came back to the
    // host.
    RETURN_IF_ERROR(UnmountAllBelow(paths.Sandbox(id)));
    removed = RemoveTree(paths.Sandbox(id));
  }
  return removed;
}

}  // namespace davit::server
