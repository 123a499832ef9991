// SPDX-License-Identifier: Apache-2.0
//
// The channel protocols of Kubernetes over WebSocket: the first byte of each message is the number
// of a channel. Exec and attach: 0 stdin, 1 stdout, 2 stderr, 3 errors, 4 terminal size; a
// port-forward session has two channels for each port. In the base64 forms the number is a digit
// and the rest is encoded. v5 adds the message {255, channel}: the client sends no more on it.
// There is no flow control: a client is not read from while what it sent is not consumed.
#pragma once

#include <vector>

#include "absl/status/statusor.h"

#include "server/streaming/mux.h"
#include "server/streaming/websocket/frame.h"

namespace davit::server::streaming::websocket {

struct ChannelFormat {
  bool base64 = false;
  bool close_signal = false;  // v5
};

class ChannelMux final : public streaming::Mux, private FrameHandler {
 public:
  ChannelMux(const ChannelFormat& format, size_t channels) : format_(format), channels_(channels) {}

  absl::Status Feed(std::string_view bytes, MuxEvents& events) override;
  [[nodiscard]] bool Accepts(StreamId id) const override;
  [[nodiscard]] size_t Room(StreamId id) const override;
  void Send(StreamId id, std::string_view data) override;
  void End(StreamId id) override;
  void Reset(StreamId id) override;
  void Consume(StreamId id, size_t bytes) override;
  void Finish() override;

 private:
  struct Channel {
    size_t held = 0;
    bool client_ended = false;
    bool ended = false;
  };

  absl::Status OnMessage(std::string_view part, bool end) override;
  void OnPing(std::string_view payload) override;
  void OnClose(std::string_view payload) override;
  absl::Status OnEncoded(std::string_view part, bool end);
  void OnBytes(std::string_view part);
  void Deliver(size_t channel, std::string_view data);
  absl::Status OnCloseSignal();

  const ChannelFormat format_;
  std::vector<Channel> channels_;
  FrameParser parser_;
  MuxEvents* events_ = nullptr;
  bool finished_ = false;
  bool message_open_ = false;  // the channel of the current message is known
  size_t channel_ = 0;
  std::string encoded_;       // base64: the current message
  std::string close_signal_;  // payload of the current one
};

// Strict: padding where it belongs, no white space.
absl::StatusOr<std::string> DecodeBase64(std::string_view text);
std::string EncodeBase64(std::string_view bytes);

}  // namespace davit::server::streaming::websocket
