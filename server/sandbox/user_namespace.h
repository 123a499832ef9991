// SPDX-License-Identifier: Apache-2.0
//
// The user namespace of a pod's own (userns_options): which IDs of the host are the pod's. It owns
// the pod's other namespaces, and is pinned as they are.
#pragma once

#include <string>

#include "absl/status/status.h"

#include "base/rooted_path.h"
#include "server/api/api.pb.h"
#include "storage/id_mapping.h"

namespace davit::server {

// InvalidArgument names the field: a mode that is neither POD nor NODE, mappings that are missing,
// overlap, are out of range or leave out ID 0, and namespaces of the host that such a pod cannot
// have (PID, IPC).
absl::Status CheckUserNamespace(const runtime::v1::PodSandboxConfig& config);

// Empty for a pod in the node's user namespace.
storage::IdMappings PodIdMappings(const runtime::v1::PodSandboxConfig& config);

// The host's IDs of the pod's root.
Owner PodRoot(const runtime::v1::PodSandboxConfig& config);

// Makes a file or directory of the host the pod's root's; nothing for a pod in the node's user
// namespace.
absl::Status GiveToPodRoot(const runtime::v1::PodSandboxConfig& config, const std::string& path);

// The value of net.ipv4.ping_group_range that the host is to write so that the pod's groups of
// `value` are meant: "LOW HIGH", clipped to the range of the mapping that holds LOW. A value whose
// groups the pod does not have is "1 0": no group. What is no such value stays.
std::string HostPingGroupRange(const std::string& value, const storage::IdMappings& mappings);

}  // namespace davit::server
