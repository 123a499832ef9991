// SPDX-License-Identifier: Apache-2.0
//
// The way down for a pod: what StopPodSandbox and RemovePodSandbox do, what undoes a RunPodSandbox
// that failed, and what recovery finishes. Driven by the record alone, each step idempotent, so
// that one order of steps serves all of them.
#pragma once

#include "absl/status/status.h"

#include "base/context.h"
#include "server/node.h"

namespace davit::server {

// All of these: the caller holds sandbox.op_mutex.

// Ends containers, infra process, network and namespaces; the record is STOPPED after it. On
// failure it stays STOPPING, and a retry goes on.
absl::Status StopSandboxLocked(Node& node, Context& ctx, Sandbox& sandbox);
// Stops it, removes its containers, files, cgroup and row. On failure it stays REMOVING.
absl::Status RemoveSandboxLocked(Node& node, Context& ctx, Sandbox& sandbox);

}  // namespace davit::server
