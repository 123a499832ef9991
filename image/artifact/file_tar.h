// SPDX-License-Identifier: Apache-2.0
//
// One file as the tar of a layer, made while its bytes come: so that a file of an artifact is kept,
// mounted, checked and removed as every other layer is. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"

#include "image/decompress.h"

struct archive;

namespace davit::image {

class FileTar {
 public:
  // `sink` gets the tar. The same path and bytes give the same tar: owner root, mode 0644, time 0.
  explicit FileTar(ByteSink sink);
  ~FileTar();
  FileTar(const FileTar&) = delete;
  FileTar& operator=(const FileTar&) = delete;

  // Each step's error is the sink's.
  absl::Status Begin(const std::string& path, uint64_t size);
  absl::Status Write(std::span<const uint8_t> bytes);
  // Fails with DataLoss unless `size` bytes were written.
  absl::Status Finish();

 private:
  struct Output;
  absl::Status Failure(const char* what) const;

  std::unique_ptr<Output> output_;
  archive* archive_;
  uint64_t left_ = 0;
};

}  // namespace davit::image
