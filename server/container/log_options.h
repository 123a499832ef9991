// SPDX-License-Identifier: Apache-2.0
//
// What a container may log and where to: the node's configuration, narrowed by annotations. An
// annotation may always ask for less than the node allows; for more, only where its handler lists
// it in allowed_annotations.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

#include "config/config.h"
#include "server/api/api.pb.h"

namespace davit::server {

// Bytes a second, and bytes of a log file between two rotations; sizes as Kubernetes writes them.
// Of a container or of its pod, the container's first.
inline constexpr char kLogRateAnnotation[] = "davit.io/log-rate-limit";
inline constexpr char kLogSizeAnnotation[] = "davit.io/log-max-size";

struct LogLimits {
  uint64_t rate = 0;      // bytes a second; 0: no limit
  uint64_t max_size = 0;  // bytes; 0: no limit
};

// InvalidArgument names an annotation that is no size.
absl::StatusOr<LogLimits> LogLimitsOf(const config::Runtime& config, const std::string& handler,
                                      const runtime::v1::PodSandboxConfig& sandbox,
                                      const runtime::v1::ContainerConfig& container);

// The fields that name the container in each of its entries in the journal, one NAME=value a line:
// those that container tools agree on (CONTAINER_*), and Kubernetes' names.
[[nodiscard]] std::string JournalFields(const std::string& container_id,
                                        const runtime::v1::PodSandboxConfig& sandbox,
                                        const runtime::v1::ContainerConfig& container);

}  // namespace davit::server
