// SPDX-License-Identifier: Apache-2.0
//
// Where davit-unpack is.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace davit::storage {

// As configured; else beside the calling program, in ../libexec/davit, in ../storage (a build
// directory), in PATH. FailedPrecondition says where it was looked for.
absl::StatusOr<std::string> FindUnpackProgram(const std::string& configured);

}  // namespace davit::storage
