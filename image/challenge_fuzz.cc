// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "image/challenge.h"

// What is read is never more than what was there.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view header(reinterpret_cast<const char*>(data), size);
  size_t bytes = 0;
  for (const auto& challenge : davit::image::ParseChallenges(header)) {
    bytes += challenge.scheme.size();
    for (const auto& [name, value] : challenge.parameters) {
      bytes += name.size() + value.size();
    }
  }
  if (bytes > size) {
    std::abort();
  }
  return 0;
}
