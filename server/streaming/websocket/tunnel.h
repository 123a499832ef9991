// SPDX-License-Identifier: Apache-2.0
//
// SPDY/3.1 inside WebSocket (subprotocol SPDY/3.1+portforward.k8s.io): the payloads of all
// messages, put together, are the bytes of one SPDY connection.
#pragma once

#include <algorithm>

#include "server/streaming/mux.h"
#include "server/streaming/spdy/spdy_mux.h"
#include "server/streaming/websocket/frame.h"

namespace davit::server::streaming::websocket {

class Tunnel final : public streaming::Mux, private FrameHandler {
 public:
  absl::Status Feed(std::string_view bytes, MuxEvents& events) override;
  [[nodiscard]] bool Accepts(StreamId id) const override { return !finished_ && spdy_.Accepts(id); }
  [[nodiscard]] size_t Room(StreamId id) const override {
    return finished_ ? 0 : std::min(spdy_.Room(id), OutputRoom());
  }
  void Send(StreamId id, std::string_view data) override;
  void End(StreamId id) override;
  void Reset(StreamId id) override;
  void Consume(StreamId id, size_t bytes) override;
  void RefuseMore() override { spdy_.RefuseMore(); }
  void Finish() override;

 private:
  absl::Status OnMessage(std::string_view part, bool end) override;
  void OnPing(std::string_view payload) override;
  void OnClose(std::string_view payload) override;
  // What the inner connection has to say becomes one message.
  void Wrap();

  spdy::Mux spdy_;
  FrameParser parser_;
  MuxEvents* events_ = nullptr;
  bool finished_ = false;
};

}  // namespace davit::server::streaming::websocket
