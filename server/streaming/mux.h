// SPDX-License-Identifier: Apache-2.0
//
// A multiplexer: many logical streams on one connection with a client. Bytes go in and out, no
// socket is involved, so that each can be tested and fuzzed in memory: spdy::Mux, websocket::
// ChannelMux, websocket::Tunnel. Used on the streaming thread only. Memory: what is kept of input
// is one frame header or one small control frame; output is bounded by kMaxOutput plus answers to
// control frames, which stop when the owner stops feeding (WantsInput).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

namespace davit::server::streaming {

using StreamId = uint32_t;
using Headers = std::map<std::string, std::string>;  // names in lower case

// What happens on the connection; called from within Mux::Feed. Every byte of OnData must be given
// to Mux::Consume once it is done with.
class MuxEvents {
 public:
  // The client opens a stream. False refuses it.
  virtual bool OnStream(StreamId id, const Headers& headers) = 0;
  virtual void OnData(StreamId id, std::string_view data) = 0;
  // The client sends no more on it; it may still receive.
  virtual void OnEnd(StreamId id) = 0;
  // The stream was reset: nothing goes in or out any more.
  virtual void OnReset(StreamId id) = 0;

 protected:
  ~MuxEvents() = default;
};

class Mux {
 public:
  // Unsent output beyond which no stream has room.
  static constexpr size_t kMaxOutput = size_t{128} << 10U;
  // Received and not yet consumed bytes beyond which a client that knows no flow control is not
  // read from.
  static constexpr size_t kMaxHeld = size_t{256} << 10U;

  virtual ~Mux() = default;
  Mux() = default;
  Mux(const Mux&) = delete;
  Mux& operator=(const Mux&) = delete;

  // Bytes from the client, in any pieces. An error is the client's: the output (which says so to
  // the client) is to be sent and the connection closed.
  virtual absl::Status Feed(std::string_view bytes, MuxEvents& events) = 0;

  // Whether the stream is open in our direction, with or without room.
  [[nodiscard]] virtual bool Accepts(StreamId id) const = 0;
  // How much Send takes for this stream now; 0 for one that is closed.
  [[nodiscard]] virtual size_t Room(StreamId id) const = 0;
  // At most Room bytes.
  virtual void Send(StreamId id, std::string_view data) = 0;
  // We send no more on it. Idempotent.
  virtual void End(StreamId id) = 0;
  // Ends both directions at once. Idempotent.
  virtual void Reset(StreamId id) = 0;
  // So much of what OnData brought is done with: the client may send that much more.
  virtual void Consume(StreamId id, size_t bytes) = 0;
  // All streams that are expected are open: further ones are refused, and memory is given back.
  virtual void RefuseMore() {}
  // Says good-bye. Nothing is sent afterwards.
  virtual void Finish() = 0;

  // False while more input could only pile up.
  [[nodiscard]] bool WantsInput() const { return held_ < kMaxHeld && output_.size() < kMaxOutput; }
  // The client has closed the connection by a message of the protocol.
  [[nodiscard]] bool client_finished() const { return client_finished_; }

  [[nodiscard]] size_t held() const { return held_; }
  [[nodiscard]] bool HasOutput() const { return !output_.empty(); }
  [[nodiscard]] std::string TakeOutput() { return std::exchange(output_, {}); }

 protected:
  [[nodiscard]] size_t OutputRoom() const {
    return kMaxOutput - (output_.size() < kMaxOutput ? output_.size() : kMaxOutput);
  }

  std::string output_;
  size_t held_ = 0;
  bool client_finished_ = false;
};

}  // namespace davit::server::streaming
