// SPDX-License-Identifier: Apache-2.0
//
// Ending a running container. Nobody holds op_mutex while waiting for the end: Status, ReopenLog
// and ExecSync go on, and the exit itself needs the mutex to be recorded.
#pragma once

#include <chrono>

#include "absl/status/status.h"

#include "base/context.h"
#include "server/node.h"

namespace davit::server {

// The container's stop signal, and after `grace` SIGKILL; returns when the exit is on record. A
// call with a shorter grace ends the waiting of all.
absl::Status StopGracefully(Node& node, Context& ctx, Container& container,
                            std::chrono::seconds grace);

// SIGKILL to a running one. One that was created and never started becomes EXITED, so that it
// cannot be started any more. Anything else: nothing to do.
absl::Status KillNow(Node& node, Container& container);
// Waits for the end after KillNow, at most about two minutes.
absl::Status AwaitKilled(Node& node, Context& ctx, Container& container);

}  // namespace davit::server
