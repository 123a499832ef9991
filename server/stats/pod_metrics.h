// SPDX-License-Identifier: Apache-2.0
//
// The metrics of one pod: those of its network, and those of each running container.
#pragma once

#include "base/net_counters.h"
#include "server/api/api.pb.h"
#include "server/node.h"

namespace davit::server {

runtime::v1::PodSandboxMetrics MetricsOf(Node& node, const Sandbox::Record& record,
                                         const NetCounters& network);

}  // namespace davit::server
