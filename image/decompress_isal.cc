// SPDX-License-Identifier: Apache-2.0
#include <isa-l/igzip_lib.h>

#include "base/status.h"
#include "image/decompress_codec.h"
#include "image/gzip_members.h"

namespace davit::image {
namespace {

class IsalMember : public GzipMember {
 public:
  IsalMember() {
    isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;
  }

  void Reset() override { isal_inflate_reset(&state_); }

  absl::StatusOr<Step> Inflate(std::span<const uint8_t> in, std::span<uint8_t> out) override {
    // The library takes its input by a pointer to non-const, and only reads it.
    state_.next_in = const_cast<uint8_t*>(in.data());
    state_.avail_in = static_cast<uint32_t>(in.size());
    state_.next_out = out.data();
    state_.avail_out = static_cast<uint32_t>(out.size());
    const int result = isal_inflate(&state_);
    if (result < 0 || result == ISAL_NEED_DICT) {
      return InvalidArgument("layer's gzip stream is malformed: {}", Reason(result));
    }
    return Step{.taken = in.size() - state_.avail_in,
                .given = out.size() - state_.avail_out,
                .ended = state_.block_state == ISAL_BLOCK_FINISH};
  }

 private:
  static const char* Reason(int result) {
    switch (result) {
      case ISAL_INVALID_WRAPPER:
        return "no gzip header where one should be";
      case ISAL_INCORRECT_CHECKSUM:
        return "wrong checksum";
      case ISAL_UNSUPPORTED_METHOD:
        return "unknown compression method";
      default:
        return "invalid data";
    }
  }

  inflate_state state_ = {};
};

}  // namespace

std::unique_ptr<GzipMember> NewGzipMember() {
  return std::make_unique<IsalMember>();
}

}  // namespace davit::image
