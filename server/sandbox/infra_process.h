// SPDX-License-Identifier: Apache-2.0
//
// The one process of a pod that shares its PID namespace: PID 1 of it, davit-conmon in its infra
// role. Its PID namespace is pinned at Paths::Pin(id, "pid").
#pragma once

#include "absl/status/status.h"

#include "base/context.h"
#include "server/node.h"

namespace davit::server {

// Holder of op_mutex.
absl::Status StartInfraProcess(Node& node, Context& ctx, Sandbox& sandbox);
// SIGKILL, which ends all of the namespace, and waits for the end. Nothing there is success.
absl::Status StopInfraProcess(Node& node, Context& ctx, Sandbox& sandbox);
// After that, wherever the pod's own cgroup came from. Missing is success.
absl::Status RemoveInfraCgroup(const Node& node, const Sandbox::Record& record);
// False if the pod has none, or it is not the process that the record names.
bool InfraProcessLives(const Sandbox::Record& record);

}  // namespace davit::server
