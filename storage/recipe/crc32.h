// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace davit::storage {

// The CRC-32 of gzip (RFC 1952) over what `crc` stands for and then `bytes`; begins with 0.
uint32_t Crc32(uint32_t crc, std::span<const uint8_t> bytes);

}  // namespace davit::storage
