// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"
#include "image/decompress_codec.h"
#include "image/gzip_members.h"

namespace davit::image {
namespace {

constexpr size_t kMaxHeaderBytes = size_t{128} << 10U;  // more is left to the library to judge

// The size of a member's header (RFC 1952, 2.3); nothing if it is not complete yet.
std::optional<size_t> HeaderSize(std::span<const uint8_t> bytes) {
  constexpr unsigned kCrc = 2;
  constexpr unsigned kExtra = 4;
  constexpr unsigned kName = 8;
  constexpr unsigned kComment = 16;
  size_t size = 10;
  if (bytes.size() < size) {
    return std::nullopt;
  }
  const unsigned flags = bytes[3];
  if ((flags & kExtra) != 0) {
    if (bytes.size() < size + 2) {
      return std::nullopt;
    }
    size += size_t{2} + bytes[size] + (size_t{bytes[size + 1]} << 8U);
  }
  for (const unsigned text : {kName, kComment}) {
    bool ended = (flags & text) == 0;
    while (!ended && size < bytes.size()) {
      ended = bytes[size++] == 0;
    }
    if (!ended) {
      return std::nullopt;
    }
  }
  size += (flags & kCrc) != 0 ? 2 : 0;
  return size <= bytes.size() ? std::optional(size) : std::nullopt;
}

// A stream is one member after another; zeros may pad its end.
class Gzip : public Decompressor {
 public:
  explicit Gzip(ByteSink sink) : sink_(std::move(sink)), member_(NewGzipMember()) {}

  absl::Status Write(std::span<const uint8_t> bytes) override {
    std::vector<uint8_t> held;
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
        in_header_ = true;
      }
      if (between_) {
        return absl::OkStatus();
      }
      if (in_header_) {
        // isa-l 2.30 misreads a header with names in it that comes in pieces: it gets it in one.
        header_.insert(header_.end(), bytes.begin(), bytes.end());
        if (!HeaderSize(header_) && header_.size() < kMaxHeaderBytes) {
          return absl::OkStatus();
        }
        in_header_ = false;
        held = std::exchange(header_, {});
        bytes = held;
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
  bool in_header_ = true;
  std::vector<uint8_t> header_;  // of a header, what has come of it
  bool padded_ = false;
};

}  // namespace

std::unique_ptr<Decompressor> NewGzip(ByteSink sink) {
  return std::make_unique<Gzip>(std::move(sink));
}

}  // namespace davit::image
