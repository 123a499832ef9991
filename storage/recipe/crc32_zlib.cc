// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>

#include "storage/recipe/crc32.h"

namespace davit::storage {

uint32_t Crc32(uint32_t crc, std::span<const uint8_t> bytes) {
  return static_cast<uint32_t>(crc32_z(crc, bytes.data(), bytes.size()));
}

}  // namespace davit::storage
