// SPDX-License-Identifier: Apache-2.0
//
// Pauses between attempts at a registry: they double, with some chance in them, so that a node's
// pulls do not come back all at once.
#pragma once

#include <chrono>

#include "absl/status/status.h"

#include "base/context.h"

namespace davit::image {

inline constexpr int kAttempts = 4;

// Sleeps before attempt `failures` + 1 (at least `wanted`, which a registry may ask for with
// Retry-After); the context's error if it ends meanwhile.
absl::Status PauseBeforeRetry(Context& ctx, int failures, std::chrono::milliseconds wanted);

// Whether the same request may succeed a moment later.
[[nodiscard]] bool IsTransient(const absl::Status& status);

}  // namespace davit::image
