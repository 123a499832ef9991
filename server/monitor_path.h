// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace davit::server {

// Where davit-conmon is: as configured; else beside the running davit; else in the libexec
// directory of its prefix; else in PATH. FailedPrecondition says where it was looked for.
absl::StatusOr<std::string> FindMonitorProgram(const std::string& configured);

}  // namespace davit::server
