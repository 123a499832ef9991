// SPDX-License-Identifier: Apache-2.0
//
// Output of a command, over the streaming connection (SPDY/3.1) that a kubelet would make.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"

#include "test/bench/node_client.h"

namespace davit::bench {

struct StreamResult {
  double seconds = 0;  // from the connection to the end of the output
  uint64_t bytes = 0;
};

absl::StatusOr<StreamResult> StreamFromExec(NodeClient& client, const PodAndContainer& pod,
                                            int mib);

}  // namespace davit::bench
