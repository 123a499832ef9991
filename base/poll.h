// SPDX-License-Identifier: Apache-2.0
//
// poll(2) within a Context: wakes for descriptors, for cancellation and at the deadline.
#pragma once

#include <poll.h>

#include <span>

#include "absl/status/status.h"

#include "base/context.h"

namespace davit {

// Fills in `revents`. OK also when the context ended, which the caller sees with ctx.Check(): by
// then a descriptor may be ready as well, and which of the two counts is the caller's choice.
// At most 16 descriptors; negative ones are skipped.
absl::Status PollWith(const Context& ctx, std::span<pollfd> fds);

}  // namespace davit
