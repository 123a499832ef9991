// SPDX-License-Identifier: Apache-2.0
#include "image/archive/tar_stream.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/status.h"
#include "base/text.h"

namespace davit::image {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kMaxName = 100;
constexpr uint64_t kMaxOctal = uint64_t{1} << 33U;

using Header = std::array<uint8_t, kBlock>;

void Put(Header& header, size_t offset, std::string_view text) {
  std::copy(text.begin(), text.end(), header.begin() + static_cast<ptrdiff_t>(offset));
}

void PutSize(Header& header, uint64_t size) {
  constexpr size_t kOffset = 124;
  constexpr size_t kLength = 12;
  if (size < kMaxOctal) {
    Put(header, kOffset, fmt::format("{:011o}", size));
    return;
  }
  for (size_t i = 0; i < 8; ++i) {
    header[kOffset + kLength - 1 - i] = static_cast<uint8_t>(size >> (8 * i));
  }
  header[kOffset] = 0x80;
}

Header MakeHeader(std::string_view name, uint64_t size) {
  Header header = {};
  Put(header, 0, name);
  Put(header, 100, "0000644");
  Put(header, 108, "0000000");
  Put(header, 116, "0000000");
  PutSize(header, size);
  Put(header, 136, "00000000000");
  Put(header, 148, "        ");
  Put(header, 156, "0");
  Put(header, 257,
      std::string_view("ustar\0"
                       "00",
                       8));
  uint32_t sum = 0;
  for (const uint8_t byte : header) {
    sum += byte;
  }
  Put(header, 148, fmt::format("{:06o}", sum));
  header[154] = 0;
  return header;
}

}  // namespace

absl::Status TarStream::Begin(std::string_view name, uint64_t size) {
  if (left_ > 0) {
    return Internal("archive: {} bytes are missing before '{}'", left_, Printable(name));
  }
  if (name.empty() || name.size() > kMaxName) {
    return InvalidArgument("archive: '{}' is no name of at most {} bytes", Printable(name),
                           kMaxName);
  }
  size_ = left_ = size;
  return sink_(MakeHeader(name, size));
}

absl::Status TarStream::Data(std::span<const uint8_t> bytes) {
  if (bytes.size() > left_) {
    return Internal("archive: a file has more bytes than it was to have");
  }
  RETURN_IF_ERROR(sink_(bytes));
  left_ -= bytes.size();
  return left_ == 0 ? Pad() : absl::OkStatus();
}

absl::Status TarStream::Pad() {
  static constexpr std::array<uint8_t, kBlock> kZeros = {};
  const size_t padding = (kBlock - size_ % kBlock) % kBlock;
  return padding == 0 ? absl::OkStatus() : sink_(std::span(kZeros).first(padding));
}

absl::Status TarStream::File(std::string_view name, std::string_view content) {
  RETURN_IF_ERROR(Begin(name, content.size()));
  return content.empty() ? absl::OkStatus()
                         : Data({reinterpret_cast<const uint8_t*>(content.data()), content.size()});
}

absl::Status TarStream::Finish() {
  if (left_ > 0) {
    return Internal("archive: {} bytes are missing at its end", left_);
  }
  static constexpr std::array<uint8_t, 2 * kBlock> kEnd = {};
  return sink_(kEnd);
}

}  // namespace davit::image
