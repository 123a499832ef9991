// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace davit::config {

// "500ms", "60s", "4m", "1h"; "0" is zero. Nothing for anything else.
std::optional<std::chrono::milliseconds> ParseDuration(const std::string& text);
std::string FormatDuration(std::chrono::milliseconds duration);

}  // namespace davit::config
