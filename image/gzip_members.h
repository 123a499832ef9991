// SPDX-License-Identifier: Apache-2.0
//
// One gzip member as isa-l (twice as fast) or zlib inflates it: the build links one of the two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/statusor.h"

namespace davit::image {

class GzipMember {
 public:
  struct Step {
    size_t taken = 0;    // of the input
    size_t given = 0;    // to the output
    bool ended = false;  // the member is complete and its checksum right
  };

  virtual ~GzipMember() = default;
  // Before a further member.
  virtual void Reset() = 0;
  virtual absl::StatusOr<Step> Inflate(std::span<const uint8_t> in, std::span<uint8_t> out) = 0;
};

std::unique_ptr<GzipMember> NewGzipMember();

}  // namespace davit::image
