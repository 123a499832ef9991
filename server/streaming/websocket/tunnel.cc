// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/websocket/tunnel.h"

#include "base/status.h"

namespace davit::server::streaming::websocket {

void Tunnel::Wrap() {
  if (!finished_ && spdy_.HasOutput()) {
    AppendMessage(output_, MessageKind::kBinary, {}, spdy_.TakeOutput());
  }
  held_ = spdy_.held();
}

absl::Status Tunnel::Feed(std::string_view bytes, MuxEvents& events) {
  if (finished_) {
    return absl::OkStatus();
  }
  events_ = &events;
  absl::Status status = parser_.Feed(bytes, *this);
  events_ = nullptr;
  Wrap();
  if (!status.ok() && !finished_) {
    AppendClose(output_, CloseCode::kProtocolError, Message(status));
    finished_ = true;
  }
  return status;
}

absl::Status Tunnel::OnMessage(std::string_view part, bool /*end*/) {
  return spdy_.Feed(part, *events_);
}

void Tunnel::OnPing(std::string_view payload) {
  if (!finished_) {
    AppendPong(output_, payload);
  }
}

void Tunnel::OnClose(std::string_view /*payload*/) {
  client_finished_ = true;
  Finish();
}

void Tunnel::Send(StreamId id, std::string_view data) {
  spdy_.Send(id, data);
  Wrap();
}

void Tunnel::End(StreamId id) {
  spdy_.End(id);
  Wrap();
}

void Tunnel::Reset(StreamId id) {
  spdy_.Reset(id);
  Wrap();
}

void Tunnel::Consume(StreamId id, size_t bytes) {
  spdy_.Consume(id, bytes);
  Wrap();
}

void Tunnel::Finish() {
  if (!finished_) {
    spdy_.Finish();
    Wrap();
    AppendClose(output_, CloseCode::kNormal, "");
    finished_ = true;
  }
}

}  // namespace davit::server::streaming::websocket
