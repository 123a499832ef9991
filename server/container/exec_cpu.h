// SPDX-License-Identifier: Apache-2.0
//
// Where commands that are executed in a container run: exec_cpu_affinity of its runtime handler.
#pragma once

#include <optional>

#include "config/config.h"
#include "server/container/container.h"

namespace davit::server {

// The first CPU of the container's own cpuset, where the handler says so: probes and shells stay
// off the other CPUs, which the container may have tuned for something that they would disturb.
// Nothing for a container without a cpuset of its own: all of those would be kept on one CPU of the
// node.
[[nodiscard]] std::optional<int> ExecCpu(const config::Runtime& config,
                                         const Container::Record& record);

}  // namespace davit::server
