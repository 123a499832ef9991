// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string>

#include "image/image_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static_cast<void>(
      davit::image::ParseImageConfig(std::string(reinterpret_cast<const char*>(data), size)));
  return 0;
}
