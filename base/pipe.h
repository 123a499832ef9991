// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit {

struct Pipe {
  UniqueFd reader;
  UniqueFd writer;
};

// pipe2(2), both ends close-on-exec and blocking.
absl::StatusOr<Pipe> MakePipe();

}  // namespace davit
