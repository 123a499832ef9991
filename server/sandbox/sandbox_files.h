// SPDX-License-Identifier: Apache-2.0
//
// The pod's run directory: /dev/shm (a tmpfs), resolv.conf, hostname, hosts; and all that is
// mounted below it. Gone with the pod.
#pragma once

#include <string>

#include "absl/status/status.h"

#include "server/paths.h"
#include "server/sandbox/sandbox.h"

namespace davit::server {

// sysfs shows a network namespace, and who mounts it must own that: the root of a pod's user
// namespace does not own the host's. Such a pod gets a read-only copy of the host's /sys.
bool NeedsHostSys(const runtime::v1::PodSandboxConfig& config);

absl::Status MakeSandboxDir(const Paths& paths, const std::string& id);
// All but hosts and resolv.conf.
absl::Status MakeSandboxFiles(const Paths& paths, const Sandbox::Record& record);
// hosts, which needs the addresses, and resolv.conf: the pod's dns_config, or else what its network
// says (`dns` of the CNI result, if it names a server), or else the host's.
absl::Status MakeNameFiles(const Paths& paths, const Sandbox::Record& record);

// Unmount what lies below: the pin of the network namespace, which the network is taken down with;
// the other pins, shm and sys. Idempotent.
absl::Status ReleaseNetworkNamespace(const Paths& paths, const std::string& id);
absl::Status ReleaseOtherMounts(const Paths& paths, const std::string& id);
// With all of these. Idempotent.
absl::Status RemoveSandboxDir(const Paths& paths, const std::string& id);

}  // namespace davit::server
