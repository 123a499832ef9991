// SPDX-License-Identifier: Apache-2.0
//
// Layer streams, whole and in small portions: the same bytes and the same end either way.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/status.h"
#include "image/decompress.h"

namespace {

using davit::image::Decompressor;

// A small input may well be a bomb: the limits are those of who takes the bytes.
constexpr size_t kMostBytes = size_t{16} << 20U;

struct Outcome {
  std::string bytes;
  absl::StatusCode code = absl::StatusCode::kOk;
};

Outcome Unpack(std::span<const uint8_t> data, size_t portion) {
  Outcome outcome;
  const auto decompressor =
      Decompressor::Create([&outcome](std::span<const uint8_t> some) -> absl::Status {
        if (outcome.bytes.size() + some.size() > kMostBytes) {
          return davit::ResourceExhausted("too much");
        }
        outcome.bytes.append(some.begin(), some.end());
        return absl::OkStatus();
      });
  absl::Status status;
  while (status.ok() && !data.empty()) {
    const size_t count = std::min(portion, data.size());
    status = decompressor->Write(data.first(count));
    data = data.subspan(count);
  }
  outcome.code = status.ok() ? decompressor->Finish().code() : status.code();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::span<const uint8_t> stream(data + 1, size - 1);
  const Outcome whole = Unpack(stream, stream.size());
  const Outcome parts = Unpack(stream, size_t{1} + data[0]);
  // After an error it may be told sooner or later, but the good end is one and the same.
  const bool one_good = whole.code == absl::StatusCode::kOk || parts.code == absl::StatusCode::kOk;
  if (one_good && (whole.code != parts.code || whole.bytes != parts.bytes)) {
    abort();
  }
  return 0;
}
