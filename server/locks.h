// SPDX-License-Identifier: Apache-2.0
//
// Two daemons on one root, run directory or socket would destroy each other's pods: the second one
// refuses to start and names the first.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit::server {

// Takes `<directory>/lock` for the life of the descriptor. FailedPrecondition names the holder's
// pid.
absl::StatusOr<UniqueFd> LockDirectory(const std::string& directory);

// Makes way for a new socket: removes a dead one; FailedPrecondition if somebody answers on it or
// the path is something else than a socket.
absl::Status ClaimSocketPath(const std::string& path);

}  // namespace davit::server
