// SPDX-License-Identifier: Apache-2.0
//
// Small text helpers on std::string_view (absl's take absl::string_view, which Debian builds as a
// different type).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace davit {

[[nodiscard]] std::vector<std::string> Split(std::string_view text, char separator);
// Split that drops empty pieces; separators are white space.
[[nodiscard]] std::vector<std::string> Words(std::string_view text);
[[nodiscard]] std::string Join(const std::vector<std::string>& parts, std::string_view separator);
[[nodiscard]] std::string_view Trim(std::string_view text);
[[nodiscard]] std::string Lower(std::string_view text);
// The whole text as a number, else nothing.
[[nodiscard]] std::optional<int64_t> ParseInt(std::string_view text);
[[nodiscard]] std::optional<uint64_t> ParseUint(std::string_view text);
// Printable form of foreign bytes for an error message: control characters escaped, cut at `limit`.
[[nodiscard]] std::string Printable(std::string_view bytes, size_t limit = 300);

}  // namespace davit
