// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/streaming/websocket/channel_mux.h"
#include "server/streaming/websocket/tunnel.h"

namespace {

using davit::server::streaming::Headers;
using davit::server::streaming::Mux;
using davit::server::streaming::MuxEvents;
using davit::server::streaming::StreamId;
namespace websocket = davit::server::streaming::websocket;

class Eater final : public MuxEvents {
 public:
  explicit Eater(Mux& mux) : mux_(mux) {}
  bool OnStream(StreamId, const Headers&) override { return true; }
  void OnData(StreamId id, std::string_view data) override { mux_.Consume(id, data.size()); }
  void OnEnd(StreamId id) override { mux_.End(id); }
  void OnReset(StreamId) override {}

 private:
  Mux& mux_;
};

void Run(Mux& mux, std::string_view input, size_t piece) {
  Eater eater(mux);
  for (size_t at = 0; at < input.size(); at += piece) {
    if (!mux.Feed(input.substr(at, piece), eater).ok()) {
      return;
    }
    if (mux.held() != 0) {
      std::abort();
    }
    (void)mux.TakeOutput();
  }
}

}  // namespace

// The same bytes as each form of WebSocket connection.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  const size_t piece = data[0] + size_t{1};
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  websocket::ChannelMux v5({.base64 = false, .close_signal = true}, 5);
  Run(v5, input, piece);
  websocket::ChannelMux encoded({.base64 = true, .close_signal = false}, 5);
  Run(encoded, input, piece);
  websocket::Tunnel tunnel;
  Run(tunnel, input, piece);
  return 0;
}
