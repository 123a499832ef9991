// SPDX-License-Identifier: Apache-2.0
//
// Object IDs (64 lower-case hex digits from the kernel's random source) and hexadecimal text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace davit {

inline constexpr size_t kIdLength = 64;

[[nodiscard]] std::string NewId();
[[nodiscard]] bool IsLowerHex(std::string_view text);
[[nodiscard]] std::string HexEncode(std::span<const uint8_t> bytes);
// The first 12 digits, for messages and tables.
[[nodiscard]] std::string ShortId(std::string_view id);
// The kernel's boot ID (/proc/sys/kernel/random/boot_id): state of another boot is dead.
[[nodiscard]] const std::string& BootId();

}  // namespace davit
