// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/streaming/spdy/spdy_mux.h"

namespace {

using davit::server::streaming::Headers;
using davit::server::streaming::MuxEvents;
using davit::server::streaming::StreamId;
using davit::server::streaming::spdy::Mux;

// Consumes all, echoes what has room, ends with the client.
class Echo final : public MuxEvents {
 public:
  explicit Echo(Mux& mux) : mux_(mux) {}
  bool OnStream(StreamId id, const Headers&) override { return id % 16 != 15; }
  void OnData(StreamId id, std::string_view data) override {
    mux_.Consume(id, data.size());
    mux_.Send(id, data.substr(0, mux_.Room(id)));
  }
  void OnEnd(StreamId id) override { mux_.End(id); }
  void OnReset(StreamId) override {}

 private:
  Mux& mux_;
};

}  // namespace

// Frames and header blocks in pieces of a size that the first byte says. Nothing is held that was
// consumed, and output is bounded by what came in.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  const size_t piece = data[0] + size_t{1};
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  Mux mux;
  Echo echo(mux);
  for (size_t at = 0; at < input.size(); at += piece) {
    if (!mux.Feed(input.substr(at, piece), echo).ok()) {
      break;
    }
    if (mux.held() != 0 || mux.TakeOutput().size() > (piece + 64) * 64) {
      std::abort();
    }
  }
  mux.Finish();
  return 0;
}
