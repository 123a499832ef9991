// SPDX-License-Identifier: Apache-2.0
//
// How much a container may write to its root file system.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "server/api/api.pb.h"

namespace davit::server {

// "10Gi"; of the container, else of the pod. Taken only if the runtime handler allows it.
inline constexpr char kRootfsSizeAnnotation[] = "davit.io/rootfs-size";

// Bytes; 0 if no annotation says it or none is allowed to. InvalidArgument for a value that is no
// size.
absl::StatusOr<uint64_t> RootfsSize(const runtime::v1::PodSandboxConfig& sandbox,
                                    const runtime::v1::ContainerConfig& container,
                                    const std::vector<std::string>& allowed_annotations);

}  // namespace davit::server
