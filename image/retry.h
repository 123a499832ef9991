// SPDX-License-Identifier: Apache-2.0
//
// Pauses between attempts at a registry: they double, with some chance in them, so that a node's
// pulls do not come back all at once.
#pragma once

#include <chrono>

#include "absl/status/status.h"

#include "base/context.h"
#include "image/http.h"

namespace davit::image {

inline constexpr int kAttempts = 4;
// A registry that asks for a longer pause gets none: the caller comes back later.
inline constexpr std::chrono::seconds kLongestWanted{60};

// What the response asks for by Retry-After, in seconds or as a date (RFC 9110, 10.2.3); 0:
// nothing.
[[nodiscard]] std::chrono::milliseconds RetryAfter(const HttpResponse& response);

// Sleeps after `failure`, the `failures`th, at least `wanted`. The context's error if it ends
// meanwhile; the failure at once, with that in its words, if `wanted` is over kLongestWanted.
absl::Status PauseBeforeRetry(Context& ctx, const absl::Status& failure, int failures,
                              std::chrono::milliseconds wanted);

// Whether the same request may succeed a moment later.
[[nodiscard]] bool IsTransient(const absl::Status& status);

}  // namespace davit::image
