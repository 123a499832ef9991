// SPDX-License-Identifier: Apache-2.0
//
// What a ContainerConfig says, checked, and what follows from it. Pure functions.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "server/api/api.pb.h"

namespace davit::server {

// Metadata and image; the rest is checked where it is used. InvalidArgument names the field.
absl::Status CheckContainerConfig(const runtime::v1::ContainerConfig& config);

// name_podname_namespace_poduid_attempt, escaped as SandboxName is.
std::string ContainerName(const runtime::v1::ContainerMetadata& metadata,
                          const runtime::v1::PodSandboxMetadata& pod);

// Absolute, beneath the pod's log directory; "" stays "". InvalidArgument for a path that is
// absolute or leaves the directory.
absl::StatusOr<std::string> LogPath(const std::string& log_directory, const std::string& log_path);

}  // namespace davit::server
