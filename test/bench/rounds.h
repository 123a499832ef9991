// SPDX-License-Identifier: Apache-2.0
//
// Pods with one container each, from nothing to running and back, by several clients at once.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"

#include "test/bench/node_client.h"
#include "test/bench/samples.h"

namespace davit::bench {

struct RoundOptions {
  int rounds = 50;   // of each client
  int warm_up = 3;   // rounds before, which do not count
  int execs = 3;     // of /bin/true in each round
  int parallel = 1;  // clients
};

struct RoundResult {
  Samples samples;
  double seconds = 0;  // from the first call to the last, without the warm-up
};

// Names of pods begin with `prefix`.
absl::StatusOr<RoundResult> RunRounds(NodeClient& client, const RoundOptions& options,
                                      const std::string& prefix);

// work(client, samples of that client) in so many threads; the samples of all, or the first
// failure.
absl::StatusOr<Samples> SideBySide(int clients,
                                   const std::function<absl::Status(int, Samples&)>& work);

}  // namespace davit::bench
