// SPDX-License-Identifier: Apache-2.0
//
// Wall-clock time as the CRI has it: nanoseconds since the epoch.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace davit {

[[nodiscard]] int64_t NowNanos();
// 2026-01-02T03:04:05.123456789Z
[[nodiscard]] std::string Rfc3339Nano(int64_t nanos);
absl::StatusOr<int64_t> ParseRfc3339(const std::string& text);
// "3 minutes ago" for tables; "1.24s", "340ms" for durations.
[[nodiscard]] std::string HumanAge(int64_t nanos_ago);
[[nodiscard]] std::string HumanDuration(int64_t nanos);
[[nodiscard]] std::string HumanBytes(uint64_t bytes);  // "1.2 GB", powers of 1000

}  // namespace davit
