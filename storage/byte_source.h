// SPDX-License-Identifier: Apache-2.0
//
// Where a TarReader gets its bytes.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"

namespace davit::storage {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // The next portion, valid until the next call; empty at the end of the stream.
  virtual absl::StatusOr<std::span<const uint8_t>> Next() = 0;
};

}  // namespace davit::storage
