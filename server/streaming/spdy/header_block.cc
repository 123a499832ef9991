// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/spdy/header_block.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/status.h"
#include "base/text.h"
#include "server/streaming/spdy/dictionary.h"
#include "server/streaming/spdy/frame.h"

namespace davit::server::streaming::spdy {
namespace {

// The smallest that holds the dictionary. A reply holds few bytes: zlib's default would take 256
// KiB.
constexpr int kWindowBits = 11;
constexpr int kMemoryLevel = 1;
constexpr size_t kChunk = 4096;

// zlib's interface is not const-correct.
Bytef* Bytes(std::string_view text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

}  // namespace

struct HeaderReader::Stream {
  z_stream zlib = {};
  bool usable = false;
};

HeaderReader::HeaderReader() : stream_(std::make_unique<Stream>()) {
  stream_->usable = inflateInit(&stream_->zlib) == Z_OK;
}

HeaderReader::~HeaderReader() {
  inflateEnd(&stream_->zlib);
}

absl::StatusOr<std::string> HeaderReader::Inflate(std::string_view block) {
  z_stream& zlib = stream_->zlib;
  zlib.next_in = Bytes(block);
  zlib.avail_in = static_cast<uInt>(block.size());
  std::string text;
  std::array<char, kChunk> chunk;
  do {
    zlib.next_out = reinterpret_cast<Bytef*>(chunk.data());
    zlib.avail_out = kChunk;
    int result = inflate(&zlib, Z_SYNC_FLUSH);
    if (result == Z_NEED_DICT) {
      const std::string& dictionary = Dictionary();
      result = inflateSetDictionary(&zlib, Bytes(dictionary), static_cast<uInt>(dictionary.size()));
      if (result == Z_OK) {
        result = inflate(&zlib, Z_SYNC_FLUSH);
      }
    }
    if (result != Z_OK && result != Z_BUF_ERROR) {
      return InvalidArgument("a SPDY header block that is not compressed as the protocol says");
    }
    text.append(chunk.data(), kChunk - zlib.avail_out);
    if (text.size() > kMaxHeaderBytes) {
      return ResourceExhausted("a SPDY header block of more than {} bytes", kMaxHeaderBytes);
    }
  } while (zlib.avail_out == 0);
  return text;
}

absl::StatusOr<Headers> HeaderReader::Read(std::string_view block) {
  if (!stream_->usable) {
    return ResourceExhausted("no memory to decompress SPDY headers");
  }
  auto text = Inflate(block);
  stream_->usable = text.ok();
  RETURN_IF_ERROR(text.status());
  return ParseHeaders(*text);
}

absl::StatusOr<Headers> ParseHeaders(std::string_view text) {
  const auto malformed = [](const char* why) {
    return InvalidArgument("a malformed SPDY header block: {}", why);
  };
  const auto take_number = [&text](uint32_t& number) {
    if (text.size() < 4) {
      return false;
    }
    number = ReadU32(text, 0);
    text.remove_prefix(4);
    return true;
  };
  const auto take_text = [&](std::string& out) {
    uint32_t size = 0;
    if (!take_number(size) || size > text.size()) {
      return false;
    }
    out = text.substr(0, size);
    text.remove_prefix(size);
    return true;
  };
  uint32_t count = 0;
  if (!take_number(count)) {
    return malformed("no count");
  }
  if (count > kMaxHeaders) {
    return ResourceExhausted("a SPDY header block with {} headers; at most {} are accepted", count,
                             kMaxHeaders);
  }
  Headers headers;
  for (uint32_t i = 0; i < count; ++i) {
    std::string name;
    std::string value;
    if (!take_text(name) || !take_text(value)) {
      return malformed("shorter than it says");
    }
    if (name.empty() || !headers.emplace(Lower(name), std::move(value)).second) {
      return malformed("a header without a name, or twice the same");
    }
  }
  return text.empty() ? absl::StatusOr<Headers>(std::move(headers)) : malformed("bytes at its end");
}

struct HeaderWriter::Stream {
  z_stream zlib = {};
  bool usable = false;
};

HeaderWriter::HeaderWriter() : stream_(std::make_unique<Stream>()) {
  const std::string& dictionary = Dictionary();
  stream_->usable = deflateInit2(&stream_->zlib, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kWindowBits,
                                 kMemoryLevel, Z_DEFAULT_STRATEGY) == Z_OK &&
                    deflateSetDictionary(&stream_->zlib, Bytes(dictionary),
                                         static_cast<uInt>(dictionary.size())) == Z_OK;
}

HeaderWriter::~HeaderWriter() {
  deflateEnd(&stream_->zlib);
}

absl::StatusOr<std::string> HeaderWriter::Write(const Headers& headers) {
  std::string text;
  AppendU32(text, static_cast<uint32_t>(headers.size()));
  for (const auto& [name, value] : headers) {
    AppendU32(text, static_cast<uint32_t>(name.size()));
    text += name;
    AppendU32(text, static_cast<uint32_t>(value.size()));
    text += value;
  }
  z_stream& zlib = stream_->zlib;
  zlib.next_in = Bytes(text);
  zlib.avail_in = static_cast<uInt>(text.size());
  std::string block;
  std::array<char, kChunk> chunk;
  do {
    zlib.next_out = reinterpret_cast<Bytef*>(chunk.data());
    zlib.avail_out = kChunk;
    const int result = stream_->usable ? deflate(&zlib, Z_SYNC_FLUSH) : Z_STREAM_ERROR;
    if (result != Z_OK && result != Z_BUF_ERROR) {
      return ResourceExhausted("no memory to compress SPDY headers");
    }
    block.append(chunk.data(), kChunk - zlib.avail_out);
  } while (zlib.avail_out == 0);
  return block;
}

}  // namespace davit::server::streaming::spdy
