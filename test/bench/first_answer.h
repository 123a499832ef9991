// SPDX-License-Identifier: Apache-2.0
//
// How long a server that starts takes until it says what runs.
#pragma once

#include "absl/status/status.h"

#include "test/bench/node_client.h"

namespace davit::bench {

// Prints "ready", waits for a server that lists at least so many containers, then prints
// {"monotonic": seconds of CLOCK_MONOTONIC, "containers": how many, "version": "name version"}. A
// socket that refuses, and a server that is not up yet, are tried again each millisecond; for ten
// minutes.
absl::Status AwaitFirstAnswer(const Target& target, size_t containers);

}  // namespace davit::bench
