// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/websocket/frame.h"

#include <utility>

#include "base/status.h"

namespace davit::server::streaming::websocket {
namespace {

constexpr uint8_t kFin = 0x80;
constexpr uint8_t kReserved = 0x70;
constexpr uint8_t kOpcode = 0x0f;
constexpr uint8_t kMasked = 0x80;
constexpr uint8_t kContinuation = 0;
constexpr uint8_t kText = 1;
constexpr uint8_t kBinary = 2;
constexpr uint8_t kClose = 8;
constexpr uint8_t kPing = 9;
constexpr uint8_t kPong = 10;
constexpr size_t kMaskSize = 4;
constexpr uint8_t kLength16 = 126;
constexpr uint8_t kLength64 = 127;

uint8_t ByteAt(std::string_view bytes, size_t at) {
  return static_cast<uint8_t>(bytes[at]);
}

void AppendHeader(std::string& out, uint8_t opcode, size_t length) {
  out.push_back(static_cast<char>(kFin | opcode));
  size_t length_bytes = 0;
  if (length < kLength16) {
    out.push_back(static_cast<char>(length));
  } else {
    length_bytes = length <= 0xffff ? 2 : 8;
    out.push_back(static_cast<char>(length_bytes == 2 ? kLength16 : kLength64));
  }
  for (size_t i = length_bytes; i-- > 0;) {
    out.push_back(static_cast<char>(uint64_t{length} >> 8U * i & 0xffU));
  }
}

}  // namespace

void AppendMessage(std::string& out, MessageKind kind, std::string_view head,
                   std::string_view body) {
  AppendHeader(out, static_cast<uint8_t>(kind), head.size() + body.size());
  out.append(head).append(body);
}

void AppendPong(std::string& out, std::string_view payload) {
  AppendHeader(out, kPong, payload.size());
  out.append(payload);
}

void AppendClose(std::string& out, CloseCode code, std::string_view reason) {
  reason = reason.substr(0, kMaxControlPayload - 2);
  AppendHeader(out, kClose, 2 + reason.size());
  out.push_back(static_cast<char>(static_cast<uint16_t>(code) >> 8U));
  out.push_back(static_cast<char>(static_cast<uint16_t>(code) & 0xffU));
  out.append(reason);
}

absl::Status FrameParser::Feed(std::string_view bytes, FrameHandler& handler) {
  while (!bytes.empty()) {
    if (in_payload_) {
      const std::string_view part = bytes.substr(0, left_);
      bytes.remove_prefix(part.size());
      RETURN_IF_ERROR(Payload(part, handler));
      continue;
    }
    const std::string_view part = bytes.substr(0, HeaderSize() - header_.size());
    header_.append(part);
    bytes.remove_prefix(part.size());
    if (header_.size() == HeaderSize()) {
      RETURN_IF_ERROR(BeginFrame(handler));
    }
  }
  return absl::OkStatus();
}

// Grows when the second byte tells the form of the length.
size_t FrameParser::HeaderSize() const {
  if (header_.size() < 2) {
    return 2;
  }
  const uint8_t second = ByteAt(header_, 1);
  const size_t mask = (second & kMasked) != 0 ? kMaskSize : 0;
  const uint8_t length = second & static_cast<uint8_t>(~kMasked);
  return 2 + mask + (length == kLength64 ? 8 : length == kLength16 ? 2 : 0);
}

absl::Status FrameParser::CheckHeader(uint8_t opcode, bool fin, uint64_t length) {
  const uint8_t first = ByteAt(header_, 0);
  if ((first & kReserved) != 0) {
    return InvalidArgument("a WebSocket frame with bits of an extension that was not agreed on");
  }
  if ((ByteAt(header_, 1) & kMasked) == 0) {
    return InvalidArgument("a WebSocket frame of a client without a mask");
  }
  const bool known = opcode == kContinuation || opcode == kText || opcode == kBinary ||
                     opcode == kClose || opcode == kPing || opcode == kPong;
  if (!known) {
    return InvalidArgument("a WebSocket frame with the unknown opcode {}", opcode);
  }
  if (opcode >= kClose && (!fin || length > kMaxControlPayload)) {
    return InvalidArgument("a WebSocket control frame in parts, or of {} bytes", length);
  }
  if (opcode < kClose && (opcode == kContinuation) != in_message_) {
    return InvalidArgument("WebSocket frames that do not make a message");
  }
  return (length >> 63U) == 0 ? absl::OkStatus()
                              : InvalidArgument("a WebSocket frame of {} bytes", length);
}

absl::Status FrameParser::BeginFrame(FrameHandler& handler) {
  opcode_ = ByteAt(header_, 0) & kOpcode;
  fin_ = (ByteAt(header_, 0) & kFin) != 0;
  control_ = opcode_ >= kClose;
  left_ = ByteAt(header_, 1) & static_cast<uint8_t>(~kMasked);
  const size_t length_bytes = left_ == kLength64 ? 8 : left_ == kLength16 ? 2 : 0;
  if (length_bytes > 0) {
    left_ = 0;
    for (size_t i = 0; i < length_bytes; ++i) {
      left_ = left_ << 8U | ByteAt(header_, 2 + i);
    }
  }
  RETURN_IF_ERROR(CheckHeader(opcode_, fin_, left_));
  header_.copy(mask_.data(), kMaskSize, 2 + length_bytes);
  header_.clear();
  mask_at_ = 0;
  if (!control_) {
    in_message_ = !fin_;
  }
  in_payload_ = true;
  return left_ == 0 ? Payload({}, handler) : absl::OkStatus();
}

absl::Status FrameParser::Payload(std::string_view part, FrameHandler& handler) {
  std::string plain(part);
  for (char& c : plain) {
    c = static_cast<char>(c ^ mask_[mask_at_++ % kMaskSize]);
  }
  left_ -= part.size();
  in_payload_ = left_ > 0;
  if (!control_) {
    return handler.OnMessage(plain, fin_ && !in_payload_);
  }
  control_payload_ += plain;
  if (!in_payload_) {
    const std::string payload = std::exchange(control_payload_, {});
    if (opcode_ == kPing) {
      handler.OnPing(payload);
    } else if (opcode_ == kClose) {
      handler.OnClose(payload);
    }
  }
  return absl::OkStatus();
}

}  // namespace davit::server::streaming::websocket
