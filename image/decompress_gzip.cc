// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "base/status.h"
#include "image/decompress_codec.h"
#include "image/gzip_members.h"

namespace davit::image {
namespace {

// A stream is one member after another; zeros may pad its end.
class Gzip : public Decompressor {
 public:
  explicit Gzip(ByteSink sink) : sink_(std::move(sink)), member_(NewGzipMember()) {}

  absl::Status Write(std::span<const uint8_t> bytes) override {
    while (true) {
      if (between_) {
        while (!bytes.empty() && bytes.front() == 0) {
          padded_ = true;
          bytes = bytes.subspan(1);
        }
      }
      if (between_ && !bytes.empty()) {
        if (padded_) {
          return InvalidArgument("layer's gzip stream is malformed: data after its padding");
        }
        member_->Reset();
        between_ = false;
      }
      if (between_) {
        return absl::OkStatus();
      }
      ASSIGN_OR_RETURN(const GzipMember::Step step, member_->Inflate(bytes, buffer_));
      bytes = bytes.subspan(step.taken);
      if (step.given > 0) {
        RETURN_IF_ERROR(sink_(std::span(buffer_).first(step.given)));
      }
      between_ = step.ended;
      // With room left in the output, all that the input gives has been given.
      if (!step.ended && bytes.empty() && step.given < buffer_.size()) {
        return absl::OkStatus();
      }
      if (!step.ended && step.taken == 0 && step.given == 0) {
        return InvalidArgument("layer's gzip stream is malformed: it does not advance");
      }
    }
  }

  absl::Status Finish() override {
    return between_ ? absl::OkStatus() : DataLoss("layer's gzip stream ends too early");
  }

 private:
  const ByteSink sink_;
  const std::unique_ptr<GzipMember> member_;
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(kOutputBytes);
  bool between_ = false;  // a member has ended, no other has begun
  bool padded_ = false;
};

}  // namespace

std::unique_ptr<Decompressor> NewGzip(ByteSink sink) {
  return std::make_unique<Gzip>(std::move(sink));
}

}  // namespace davit::image
