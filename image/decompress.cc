// SPDX-License-Identifier: Apache-2.0
#include "image/decompress.h"

#include <algorithm>
#include <array>

#include "base/status.h"
#include "image/decompress_codec.h"

namespace davit::image {
namespace {

class Plain : public Decompressor {
 public:
  explicit Plain(ByteSink sink) : sink_(std::move(sink)) {}
  absl::Status Write(std::span<const uint8_t> bytes) override { return sink_(bytes); }
  absl::Status Finish() override { return absl::OkStatus(); }

 private:
  const ByteSink sink_;
};

constexpr size_t kMagicBytes = 4;

bool StartsWith(std::span<const uint8_t> bytes, std::initializer_list<uint8_t> magic) {
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
}

// A zstd stream may begin with a skippable frame: 5? 2A 4D 18.
bool IsZstd(std::span<const uint8_t> bytes) {
  return StartsWith(bytes, {0x28, 0xB5, 0x2F, 0xFD}) ||
         (bytes.size() >= kMagicBytes && (bytes[0] & 0xF0U) == 0x50 && bytes[1] == 0x2A &&
          bytes[2] == 0x4D && bytes[3] == 0x18);
}

// Holds back the first bytes until they tell the format.
class Detecting : public Decompressor {
 public:
  explicit Detecting(ByteSink sink) : sink_(std::move(sink)) {}

  absl::Status Write(std::span<const uint8_t> bytes) override {
    while (inner_ == nullptr && !bytes.empty()) {
      head_[used_++] = bytes.front();
      bytes = bytes.subspan(1);
      if (used_ == kMagicBytes) {
        RETURN_IF_ERROR(Choose());
      }
    }
    return bytes.empty() ? absl::OkStatus() : inner_->Write(bytes);
  }

  absl::Status Finish() override {
    if (inner_ == nullptr) {
      RETURN_IF_ERROR(Choose());
    }
    return inner_->Finish();
  }

 private:
  absl::Status Choose() {
    const std::span<const uint8_t> head = std::span(head_).first(used_);
    if (StartsWith(head, {0x1F, 0x8B})) {
      inner_ = NewGzip(std::move(sink_));
    } else if (IsZstd(head)) {
      inner_ = NewZstd(std::move(sink_));
    } else if (StartsWith(head, {'B', 'Z', 'h'}) || StartsWith(head, {0xFD, '7', 'z', 'X'})) {
      return FailedPrecondition(
          "layer is compressed with bzip2 or xz: only gzip and zstd can be read");
    } else {
      inner_ = std::make_unique<Plain>(std::move(sink_));
    }
    return head.empty() ? absl::OkStatus() : inner_->Write(head);
  }

  ByteSink sink_;
  std::unique_ptr<Decompressor> inner_;
  std::array<uint8_t, kMagicBytes> head_ = {};
  size_t used_ = 0;
};

}  // namespace

std::unique_ptr<Decompressor> Decompressor::Create(ByteSink sink) {
  return std::make_unique<Detecting>(std::move(sink));
}

}  // namespace davit::image
