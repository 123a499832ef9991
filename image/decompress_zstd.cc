// SPDX-License-Identifier: Apache-2.0
#include <zstd.h>
#include <zstd_errors.h>

#include <vector>

#include "base/status.h"
#include "image/decompress_codec.h"

namespace davit::image {
namespace {

// 32 MiB, the largest that image builders use; a hostile frame could ask for gigabytes.
constexpr int kMaxWindowLog = 25;

class Zstd : public Decompressor {
 public:
  explicit Zstd(ByteSink sink) : sink_(std::move(sink)), stream_(ZSTD_createDCtx()) {
    if (stream_) {
      ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
    }
  }

  absl::Status Write(std::span<const uint8_t> bytes) override {
    if (!stream_) {
      return ResourceExhausted("decompress a zstd layer: out of memory");
    }
    ZSTD_inBuffer in = {bytes.data(), bytes.size(), 0};
    // A full output buffer may leave more inside although all input is taken.
    for (bool full = false; in.pos < in.size || full;) {
      ZSTD_outBuffer out = {buffer_.data(), buffer_.size(), 0};
      const size_t result = ZSTD_decompressStream(stream_.get(), &out, &in);
      if (ZSTD_isError(result) != 0U) {
        return Failed(result);
      }
      in_frame_ = result != 0;
      full = in_frame_ && out.pos == out.size;
      if (out.pos > 0) {
        RETURN_IF_ERROR(sink_(std::span(buffer_).first(out.pos)));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Finish() override {
    return in_frame_ ? DataLoss("layer's zstd stream ends too early") : absl::OkStatus();
  }

 private:
  static absl::Status Failed(size_t result) {
    const std::string reason = ZSTD_getErrorName(result);
    if (ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge) {
      return ResourceExhausted("layer's zstd window is larger than {} MiB",
                               1U << (kMaxWindowLog - 20));
    }
    return InvalidArgument("layer's zstd stream is malformed: {}", reason);
  }

  struct Free {
    void operator()(ZSTD_DCtx* stream) const { ZSTD_freeDCtx(stream); }
  };

  const ByteSink sink_;
  std::unique_ptr<ZSTD_DCtx, Free> stream_;
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(kOutputBytes);
  bool in_frame_ = false;
};

}  // namespace

std::unique_ptr<Decompressor> NewZstd(ByteSink sink) {
  return std::make_unique<Zstd>(std::move(sink));
}

}  // namespace davit::image
