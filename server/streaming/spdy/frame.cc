// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/spdy/frame.h"

#include <algorithm>

#include "base/status.h"

namespace davit::server::streaming::spdy {
namespace {

constexpr uint32_t kControlBit = 0x80000000;
constexpr uint32_t kLengthMask = 0x00ffffff;

}  // namespace

uint32_t ReadU32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = at; i < at + 4; ++i) {
    value = value << 8U | static_cast<uint8_t>(bytes[i]);
  }
  return value;
}

void AppendU32(std::string& out, uint32_t value) {
  for (const uint32_t shift : {24U, 16U, 8U, 0U}) {
    out.push_back(static_cast<char>(value >> shift & 0xffU));
  }
}

void AppendControl(std::string& out, FrameType type, uint8_t flags, std::string_view payload) {
  AppendU32(out, kControlBit | uint32_t{kVersion} << 16U | static_cast<uint32_t>(type));
  AppendU32(out, uint32_t{flags} << 24U | static_cast<uint32_t>(payload.size()));
  out.append(payload);
}

void AppendData(std::string& out, uint32_t stream, std::string_view data, bool fin) {
  AppendU32(out, stream);
  AppendU32(out, (fin ? uint32_t{kFlagFin} << 24U : 0) | static_cast<uint32_t>(data.size()));
  out.append(data);
}

void AppendPair(std::string& out, FrameType type, uint32_t first, uint32_t second) {
  std::string payload;
  AppendU32(payload, first);
  AppendU32(payload, second);
  AppendControl(out, type, 0, payload);
}

absl::Status FrameParser::Feed(std::string_view bytes, FrameHandler& handler) {
  while (!bytes.empty()) {
    if (data_left_ > 0) {
      const std::string_view part = bytes.substr(0, data_left_);
      data_left_ -= part.size();
      bytes.remove_prefix(part.size());
      RETURN_IF_ERROR(handler.OnData(data_stream_, part, data_fin_ && data_left_ == 0));
      continue;
    }
    size_t wanted = kFrameHeader;
    if (pending_.size() >= kFrameHeader) {
      wanted += ReadU32(pending_, 4) & kLengthMask;
    }
    const std::string_view part = bytes.substr(0, wanted - pending_.size());
    pending_.append(part);
    bytes.remove_prefix(part.size());
    if (pending_.size() == wanted) {
      RETURN_IF_ERROR(Header(handler));
    }
  }
  return absl::OkStatus();
}

// A frame header is complete, or a control frame.
absl::Status FrameParser::Header(FrameHandler& handler) {
  const uint32_t first = ReadU32(pending_, 0);
  const uint32_t second = ReadU32(pending_, 4);
  const size_t length = second & kLengthMask;
  const auto flags = static_cast<uint8_t>(second >> 24U);
  if ((first & kControlBit) == 0) {
    pending_.clear();
    data_stream_ = first;
    data_left_ = length;
    data_fin_ = (flags & kFlagFin) != 0;
    return length == 0 ? handler.OnData(data_stream_, {}, data_fin_) : absl::OkStatus();
  }
  if ((first >> 16U & 0x7fffU) != kVersion) {
    return InvalidArgument("a SPDY frame of version {}; this server speaks 3",
                           first >> 16U & 0x7fffU);
  }
  if (length > kMaxControl) {
    return InvalidArgument("a SPDY control frame of {} bytes; at most {} are accepted", length,
                           kMaxControl);
  }
  if (pending_.size() < kFrameHeader + length) {
    return absl::OkStatus();  // the rest is to come
  }
  const std::string frame = std::exchange(pending_, {});
  return handler.OnControl({.type = static_cast<uint16_t>(first & 0xffffU),
                            .flags = flags,
                            .payload = std::string_view(frame).substr(kFrameHeader)});
}

}  // namespace davit::server::streaming::spdy
