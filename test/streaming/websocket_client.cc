// SPDX-License-Identifier: Apache-2.0
#include "test/streaming/websocket_client.h"

#include <stdexcept>

namespace davit::test_streaming {
namespace {

// The example of RFC 6455, section 1.3.
constexpr char kKey[] = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr char kAccept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
constexpr char kMask[] = "\x37\xfa\x21\x3d";

}  // namespace

std::string WebSocketClient::ExpectedAccept() {
  return kAccept;
}

std::string WebSocketClient::Upgrade(const Url& url, const std::string& protocols) {
  connection_.Write("GET " + url.path + " HTTP/1.1\r\nHost: " + url.host +
                    "\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
                    kKey + "\r\n" +
                    (protocols.empty() ? "" : "Sec-WebSocket-Protocol: " + protocols + "\r\n") +
                    "\r\n");
  return connection_.ReadHead();
}

void WebSocketClient::Send(int opcode, std::string_view payload, bool fin, bool masked) {
  std::string frame;
  frame += static_cast<char>((fin ? 128 : 0) + opcode);
  const int mask_bit = masked ? 128 : 0;
  if (payload.size() < 126) {
    frame += static_cast<char>(mask_bit + static_cast<int>(payload.size()));
  } else if (payload.size() < 65536) {
    frame += static_cast<char>(mask_bit + 126);
    frame += static_cast<char>(payload.size() / 256);
    frame += static_cast<char>(payload.size() % 256);
  } else {
    frame += static_cast<char>(mask_bit + 127);
    for (int i = 7; i >= 0; --i) {
      frame += static_cast<char>(payload.size() >> static_cast<unsigned>(8 * i));
    }
  }
  if (masked) {
    frame.append(kMask, 4);
  }
  for (size_t i = 0; i < payload.size(); ++i) {
    frame += static_cast<char>(masked ? payload[i] ^ kMask[i % 4] : payload[i]);
  }
  connection_.Write(frame);
}

WebSocketMessage WebSocketClient::Receive() {
  const auto need = [this](size_t size) {
    while (input_.size() < size) {
      const std::string part = connection_.Read();
      if (part.empty()) {
        return false;
      }
      input_ += part;
    }
    return true;
  };
  const auto at = [this](size_t i) { return static_cast<unsigned char>(input_[i]); };
  if (!need(2)) {
    return {-1, ""};
  }
  if ((at(0) & 0xf0) != 0x80 || (at(1) & 0x80) != 0) {
    throw std::runtime_error("a frame that no server of these protocols sends");
  }
  size_t header = 2;
  uint64_t size = at(1);
  if (size >= 126) {
    const size_t bytes = size == 126 ? 2 : 8;
    header += bytes;
    need(header);
    size = 0;
    for (size_t i = 2; i < header; ++i) {
      size = size * 256 + at(i);
    }
  }
  if (!need(header + size)) {
    throw std::runtime_error("half a frame");
  }
  WebSocketMessage message{at(0) & 0x0f, input_.substr(header, size)};
  input_.erase(0, header + size);
  return message;
}

}  // namespace davit::test_streaming
