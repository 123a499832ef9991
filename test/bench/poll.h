// SPDX-License-Identifier: Apache-2.0
//
// What a kubelet asks of a node that has nothing to do: all pods and containers each second,
// statistics each ten seconds, and an exec probe in each pod each ten seconds, spread over them.
#pragma once

#include <chrono>
#include <vector>

#include "absl/status/statusor.h"

#include "test/bench/node_client.h"
#include "test/bench/samples.h"

namespace davit::bench {

struct PollResult {
  double seconds = 0;
  int probes = 0;  // that were done
  int due = 0;     // that should have been: a slow server does not keep up
  Samples samples;
};

absl::StatusOr<PollResult> PollAsKubelet(NodeClient& client,
                                         const std::vector<PodAndContainer>& pods,
                                         std::chrono::seconds time);

}  // namespace davit::bench
