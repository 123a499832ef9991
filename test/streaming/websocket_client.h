// SPDX-License-Identifier: Apache-2.0
//
// A WebSocket client (RFC 6455) of the channel protocols of Kubernetes.
#pragma once

#include <functional>
#include <string>

#include "test/streaming/connection.h"

namespace davit::test_streaming {

struct WebSocketMessage {
  int opcode = 0;  // 1 text, 2 binary, 8 close, 10 pong
  std::string payload;
};

class WebSocketClient {
 public:
  explicit WebSocketClient(Connection& connection) : connection_(connection) {}

  // Upgrades; the head of the server's answer. "" as protocols asks for none.
  std::string Upgrade(const Url& url, const std::string& protocols);

  void Send(int opcode, std::string_view payload, bool fin = true, bool masked = true);
  void SendBinary(std::string_view payload) { Send(2, payload); }
  void SendChannel(char channel, std::string_view payload) {
    Send(2, std::string(1, channel) + std::string(payload));
  }
  void SendRaw(std::string_view bytes) { connection_.Write(bytes); }
  // The next frame; opcode -1 at the end of the connection.
  WebSocketMessage Receive();

  // The answer that the key of this client's request has to get.
  static std::string ExpectedAccept();

 private:
  Connection& connection_;
  std::string input_;
};

}  // namespace davit::test_streaming
