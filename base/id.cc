// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "base/text.h"

namespace davit {

std::string NewId() {
  std::array<uint8_t, kIdLength / 2> bytes = {};
  // Up to 256 bytes come whole once the kernel's source is ready.
  while (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    if (errno != EINTR) {
      // A predictable ID is worse than no daemon.
      std::fputs("davit: the kernel gives no random bytes\n", stderr);
      std::abort();
    }
  }
  return HexEncode(bytes);
}

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string HexEncode(std::span<const uint8_t> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 0xfU];
  }
  return text;
}

std::string ShortId(std::string_view id) {
  return std::string(id.substr(0, 12));
}

const std::string& BootId() {
  static const std::string& boot_id = *new std::string([] {
    absl::StatusOr<std::string> text = ReadFile("/proc/sys/kernel/random/boot_id", 100);
    return text.ok() ? std::string(Trim(*text)) : std::string();
  }());
  return boot_id;
}

}  // namespace davit
