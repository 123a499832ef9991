// SPDX-License-Identifier: Apache-2.0
//
// Streaming decompression of layer blobs: gzip (any number of members), zstd (any number of frames)
// and plain tar, told apart by their first bytes, since media types lie. Memory is bounded: one
// output buffer, and for zstd a window of at most 32 MiB. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "absl/status/status.h"

namespace davit::image {

using ByteSink = std::function<absl::Status(std::span<const uint8_t>)>;

// Errors: DataLoss for a stream that ends early, InvalidArgument for one that is malformed,
// FailedPrecondition for a compression that is not supported; an error of the sink as it is.
class Decompressor {
 public:
  // How the stream is compressed is seen from its first bytes.
  static std::unique_ptr<Decompressor> Create(ByteSink sink);
  virtual ~Decompressor() = default;

  virtual absl::Status Write(std::span<const uint8_t> bytes) = 0;
  // End of the input: fails unless the stream was complete.
  virtual absl::Status Finish() = 0;
};

}  // namespace davit::image
