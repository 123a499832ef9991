// SPDX-License-Identifier: Apache-2.0
//
// Frames of WebSocket (RFC 6455, section 5), the server's side. The parser keeps at most one
// control frame (125 bytes); the payload of messages is passed on, unmasked, as it comes, so a
// message may have any length.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace davit::server::streaming::websocket {

inline constexpr size_t kMaxControlPayload = 125;

// Section 7.4.1.
enum class CloseCode : uint16_t { kNormal = 1000, kProtocolError = 1002, kTooBig = 1009 };

class FrameHandler {
 public:
  // A part of a message, which may be empty; `end` with its last part.
  virtual absl::Status OnMessage(std::string_view part, bool end) = 0;
  virtual void OnPing(std::string_view payload) = 0;
  virtual void OnClose(std::string_view payload) = 0;

 protected:
  ~FrameHandler() = default;
};

class FrameParser {
 public:
  // InvalidArgument for what no client may send.
  absl::Status Feed(std::string_view bytes, FrameHandler& handler);

 private:
  [[nodiscard]] size_t HeaderSize() const;
  absl::Status BeginFrame(FrameHandler& handler);
  absl::Status CheckHeader(uint8_t opcode, bool fin, uint64_t length);
  absl::Status Payload(std::string_view part, FrameHandler& handler);

  std::string header_;
  bool in_payload_ = false;
  bool fin_ = false;
  bool control_ = false;
  uint8_t opcode_ = 0;
  bool in_message_ = false;  // between the first and the last frame of a message
  uint64_t left_ = 0;
  std::array<char, 4> mask_ = {};
  size_t mask_at_ = 0;
  std::string control_payload_;
};

enum class MessageKind : uint8_t { kText = 1, kBinary = 2 };

// Each appends one whole frame, unmasked as a server's are. The payload follows from `head` and
// `body`.
void AppendMessage(std::string& out, MessageKind kind, std::string_view head,
                   std::string_view body);
void AppendPong(std::string& out, std::string_view payload);
void AppendClose(std::string& out, CloseCode code, std::string_view reason);

}  // namespace davit::server::streaming::websocket
