// SPDX-License-Identifier: Apache-2.0
//
// SPDY/3.1, the server's side: streams that the client opens, flow control in both directions.
//
// The library of Kubernetes' own clients (kubectl, crictl, the API server's proxies) knows no flow
// control: it sends without regard to our window and never opens its own. So a client's window
// counts from the first SETTINGS or WINDOW_UPDATE that it sends; before, TCP alone holds us back.
// In the other direction a client that showed that it knows flow control is held to it, any other
// is not read from while it is too far ahead (Mux::WantsInput).
#pragma once

#include <map>
#include <memory>

#include "server/streaming/mux.h"
#include "server/streaming/spdy/frame.h"
#include "server/streaming/spdy/header_block.h"

namespace davit::server::streaming::spdy {

class Mux final : public streaming::Mux, private FrameHandler {
 public:
  // Open at one time: a port-forward session has two for each connection.
  static constexpr size_t kMaxStreams = 2048;

  absl::Status Feed(std::string_view bytes, MuxEvents& events) override;
  [[nodiscard]] bool Accepts(StreamId id) const override;
  [[nodiscard]] size_t Room(StreamId id) const override;
  void Send(StreamId id, std::string_view data) override;
  void End(StreamId id) override;
  void Reset(StreamId id) override { Abandon(id, ResetCode::kCancel); }
  void Consume(StreamId id, size_t bytes) override;
  void RefuseMore() override;
  void Finish() override;

  [[nodiscard]] size_t open_streams() const { return streams_.size(); }

 private:
  struct Stream {
    int64_t credit = 0;   // of its window, beside the initial one: may be less than nothing
    size_t held = 0;      // received, not consumed
    size_t consumed = 0;  // and not yet given back to the client
    bool client_ended = false;
    bool ended = false;
  };

  absl::Status OnControl(const ControlFrame& frame) override;
  absl::Status OnData(uint32_t id, std::string_view data, bool end) override;
  absl::Status OnSynStream(const ControlFrame& frame);
  absl::Status OnHeaders(const ControlFrame& frame);
  absl::Status OnSettings(const ControlFrame& frame);
  absl::Status OnWindowUpdate(uint32_t id, uint32_t delta);
  // A change of the initial window is one for all streams, and costs nothing for each.
  [[nodiscard]] int64_t WindowOf(const Stream& stream) const {
    return initial_window_ + stream.credit;
  }
  absl::Status CheckNewStream(StreamId id);
  absl::Status ReadHeaders(std::string_view block, Headers& headers);
  absl::Status Reply(StreamId id);
  void ClientEnds(StreamId id);
  void GiveBack(StreamId id, size_t& consumed);
  void Forget(StreamId id);
  void SendReset(StreamId id, ResetCode code);
  // Resets a stream and forgets it, if it is there.
  void Abandon(StreamId id, ResetCode code);
  // The same for what the client did; the owner is told.
  void Fail(StreamId id, ResetCode code);

  FrameParser parser_;
  std::unique_ptr<HeaderReader> reader_ = std::make_unique<HeaderReader>();
  std::unique_ptr<HeaderWriter> writer_;
  MuxEvents* events_ = nullptr;  // during Feed
  std::map<StreamId, Stream> streams_;
  StreamId last_id_ = 0;
  bool refusing_ = false;
  bool finished_ = false;

  bool client_has_windows_ = false;
  int64_t session_window_ = kInitialWindow;
  int64_t initial_window_ = kInitialWindow;
  size_t session_consumed_ = 0;
};

}  // namespace davit::server::streaming::spdy
