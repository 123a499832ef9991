// SPDX-License-Identifier: Apache-2.0
//
// The infra process of a pod that shares its PID namespace: PID 1 in it, davit-conmon in its infra
// role (see conmon/infra.h for what that process is). Its PID namespace is pinned by a bind mount,
// as the pod's other namespaces are. It belongs to nobody: the host's init reaps it, it outlives
// the daemon.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "base/fd.h"

namespace davit::server::oci {

struct InfraOptions {
  std::string monitor_path;
  std::string user_pin = {};  // of the user namespace that owns the others
  std::string net_pin;        // namespaces to join; "" stays in the host's
  std::string ipc_pin;
  std::string uts_pin;
  std::string pid_pin;       // made here; its directory exists
  std::string cgroup_procs;  // as SpawnOptions::cgroup_procs; "" stays in the daemon's
};

struct InfraHandle {
  pid_t pid = 0;
  uint64_t start_time = 0;
  UniqueFd pidfd;
};

// On failure nothing runs and nothing is pinned. If the daemon dies in the middle the process is
// killed too, unless it was pinned already (then StopInfra with pid 0 finds it).
absl::StatusOr<InfraHandle> StartInfra(Context& ctx, const InfraOptions& options);

// SIGKILL, which ends everything in the namespace; waits for the end; unpins. With pid 0 the
// process is looked for by its namespace. A process that is gone, or is not the one with
// `start_time`, and a missing pin are success.
absl::Status StopInfra(Context& ctx, pid_t pid, uint64_t start_time, const std::string& pid_pin);

}  // namespace davit::server::oci
