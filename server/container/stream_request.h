// SPDX-License-Identifier: Apache-2.0
//
// What the requests of Exec and Attach have in common.
#pragma once

#include <string>

#include "absl/status/status.h"

#include "base/status.h"

namespace davit::server {

// InvalidArgument for a choice of streams that cannot be: a terminal has no stderr of its own.
template <typename StreamRequest>
absl::Status CheckStreams(const StreamRequest& request, const std::string& what) {
  if (request.tty() && request.stderr()) {
    return InvalidArgument("{}: tty and stderr cannot both be true", what);
  }
  if (!request.stdin() && !request.stdout() && !request.stderr()) {
    return InvalidArgument("{}: one of stdin, stdout, or stderr must be set", what);
  }
  return absl::OkStatus();
}

}  // namespace davit::server
