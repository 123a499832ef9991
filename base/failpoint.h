// SPDX-License-Identifier: Apache-2.0
//
// Named places where a test makes the daemon fail, stall or die: the steps of every multi-step
// operation. Set by the environment variable DAVIT_FAILPOINTS when the daemon starts:
//   "run_pod_sandbox.after_network=crash;create_container.after_rootfs=error;x.y=sleep:200"
// A suffix "@N" acts on the Nth hit only ("…=crash@3"). Without the variable a hit costs one load.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace davit::failpoint {

// Parses the environment. An unknown action is InvalidArgument.
absl::Status LoadFromEnvironment();
absl::Status Load(const std::string& text);

// OK, or Internal("failpoint NAME") for "error"; "crash" is SIGKILL to the own process.
absl::Status Hit(const char* name);

}  // namespace davit::failpoint
