// SPDX-License-Identifier: Apache-2.0
//
// Pods that stay, and what a kubelet asks about them. Commands come as lines on standard input;
// each is answered by one line of JSON, {"seconds": …, "times": {call: [milliseconds, …], …}}.
//
//   rounds ROUNDS CLIENTS   pods that come and go, as RunRounds makes them
//   grow COUNT CLIENTS      until so many pods run
//   ask ROUNDS SECONDS      Version, List, Status and Stats of what runs, one kind after the other;
//                           none longer than so
//   exec ROUNDS             ExecSync of /bin/true in the first container
//   poll SECONDS            what a kubelet asks for; also {"probes": done, "due": …}
//   stream MIB              so much output of an exec; also {"bytes": …}
//
// At the end of input the pods are removed. A failure ends the loop.
#pragma once

#include <istream>

#include "absl/status/status.h"

#include "test/bench/node_client.h"

namespace davit::bench {

absl::Status ServeCommands(const Target& target, std::istream& commands);

}  // namespace davit::bench
