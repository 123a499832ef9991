// SPDX-License-Identifier: Apache-2.0
//
// The loopback device of a new network namespace, brought up in process: no plugin is executed.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace davit::network {

// Sets `lo` up in the pinned namespace (the kernel then gives it 127.0.0.1 and ::1). Idempotent.
absl::Status BringUpLoopback(const std::string& netns_path);

}  // namespace davit::network
