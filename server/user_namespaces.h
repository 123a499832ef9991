// SPDX-License-Identifier: Apache-2.0
//
// Whether pods can have user namespaces of their own here: the machine's part, found out at start,
// and the OCI runtime's.
#pragma once

#include <string>

#include "absl/status/status.h"

#include "server/node.h"

namespace davit::server {

// OK, or why not: the kernel makes no user namespace, or no ID-mapped mount in the run directory
// (which is as the kubelet's volumes in memory are), or others than root cannot pass the
// directories above it. Opens the run directory itself and its containers/ for passing.
absl::Status ProbeUserNamespaces(const std::string& run);

// FailedPrecondition naming the handler, or what the machine lacks.
absl::Status UserNamespacesOf(const Node& node, const std::string& handler);

}  // namespace davit::server
