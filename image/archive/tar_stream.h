// SPDX-License-Identifier: Apache-2.0
//
// Writes a tar of plain files, as image archives are: ustar, with GNU's binary size beyond 8 GiB.
// Reproducible: no times, no owners. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

#include "image/decompress.h"

namespace davit::image {

class TarStream {
 public:
  explicit TarStream(ByteSink sink) : sink_(std::move(sink)) {}

  // The name is at most 100 bytes long, else InvalidArgument. Then `size` bytes by Data, in any
  // portions.
  absl::Status Begin(std::string_view name, uint64_t size);
  absl::Status Data(std::span<const uint8_t> bytes);
  absl::Status File(std::string_view name, std::string_view content);
  // The end marker. Internal if a file is not complete.
  absl::Status Finish();

 private:
  absl::Status Pad();

  ByteSink sink_;
  uint64_t size_ = 0;  // of the file that is being written
  uint64_t left_ = 0;
};

}  // namespace davit::image
