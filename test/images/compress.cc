// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>
#include <zstd.h>

#include "base/status.h"
#include "test/images/oci_layout.h"

namespace davit::test {
namespace {

// Fast levels: the images are made for every run of the tests.
constexpr int kGzipLevel = 1;
constexpr int kZstdLevel = 1;
constexpr int kGzipWindow = 15 + 16;  // zlib: with a gzip header, whose time stays 0

absl::StatusOr<std::string> Gzip(std::string_view bytes) {
  z_stream stream = {};
  if (deflateInit2(&stream, kGzipLevel, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return Internal("gzip cannot start");
  }
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END) {
    return Internal("gzip ended with {}", result);
  }
  return out;
}

absl::StatusOr<std::string> Zstd(std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  const size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), kZstdLevel);
  if (ZSTD_isError(size) != 0) {
    return Internal("zstd: {}", ZSTD_getErrorName(size));
  }
  out.resize(size);
  return out;
}

}  // namespace

absl::StatusOr<std::string> Compress(std::string_view bytes, Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return Gzip(bytes);
    case Compression::kZstd:
      return Zstd(bytes);
    case Compression::kNone:
      break;
  }
  return std::string(bytes);
}

}  // namespace davit::test
