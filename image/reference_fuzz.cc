// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <string>

#include "image/reference.h"

// Whatever is accepted means the same when it is read again.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using davit::image::Reference;
  const auto once = Reference::Parse(std::string(reinterpret_cast<const char*>(data), size));
  if (!once.ok()) {
    return 0;
  }
  const auto twice = Reference::Parse(once->canonical());
  if (!twice.ok() || twice->canonical() != once->canonical()) {
    std::abort();
  }
  return 0;
}
