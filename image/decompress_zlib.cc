// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>

#include "base/status.h"
#include "image/gzip_members.h"

namespace davit::image {
namespace {

constexpr int kGzipOnly = 15 + 16;  // the largest window; a gzip wrapper and no other

class ZlibMember : public GzipMember {
 public:
  ZlibMember() : ready_(inflateInit2(&stream_, kGzipOnly) == Z_OK) {}
  ~ZlibMember() override {
    if (ready_) {
      inflateEnd(&stream_);
    }
  }
  ZlibMember(const ZlibMember&) = delete;
  ZlibMember& operator=(const ZlibMember&) = delete;

  void Reset() override { inflateReset(&stream_); }

  absl::StatusOr<Step> Inflate(std::span<const uint8_t> in, std::span<uint8_t> out) override {
    if (!ready_) {
      return ResourceExhausted("decompress a gzip layer: out of memory");
    }
    // The library takes its input by a pointer to non-const, and only reads it.
    stream_.next_in = const_cast<uint8_t*>(in.data());
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = out.data();
    stream_.avail_out = static_cast<uInt>(out.size());
    const int result = inflate(&stream_, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      return InvalidArgument("layer's gzip stream is malformed: {}",
                             stream_.msg == nullptr ? "invalid data" : stream_.msg);
    }
    return Step{.taken = in.size() - stream_.avail_in,
                .given = out.size() - stream_.avail_out,
                .ended = result == Z_STREAM_END};
  }

 private:
  z_stream stream_ = {};
  const bool ready_;
};

}  // namespace

std::unique_ptr<GzipMember> NewGzipMember() {
  return std::make_unique<ZlibMember>();
}

}  // namespace davit::image
