// SPDX-License-Identifier: Apache-2.0
//
// The way down for a container: after its exit, at its removal, when its creation is undone, and in
// recovery. Driven by the record alone, each step idempotent.
#pragma once

#include "absl/status/status.h"

#include "base/context.h"
#include "server/node.h"

namespace davit::server {

// Gives back what a container that has ended holds beside its files: state of the OCI runtime, its
// cgroup, the mount of its root file system. Holder of op_mutex.
absl::Status ReleaseContainer(Node& node, Context& ctx, Container& container);

// Everything, with the row last. Holder of op_mutex; nothing of it runs any more (or it never did).
absl::Status DestroyContainer(Node& node, Context& ctx, Container& container);

// Kills it if it runs, then destroys it. Removed by somebody else meanwhile is success.
absl::Status RemoveContainerObject(Node& node, Context& ctx, Container& container);

}  // namespace davit::server
