// SPDX-License-Identifier: Apache-2.0
//
// Which PID namespace a container joins: one of its own, the pod's, the host's, or that of another
// container of the pod (kubectl debug), which is pinned in the container's run directory: a path
// below /proc could come to mean another process.
#pragma once

#include "absl/status/statusor.h"

#include "server/node.h"
#include "server/spec/spec.h"

namespace davit::server {

// Fills pid and host_pid. The container's run directory exists.
absl::Status ChoosePidNamespace(Node& node, const Sandbox::Record& sandbox,
                                const Container::Record& container,
                                spec::NamespacePaths& namespaces);

}  // namespace davit::server
