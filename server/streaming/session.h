// SPDX-License-Identifier: Apache-2.0
//
// A connection after its upgrade: moves bytes between the transport and the multiplexer, holds back
// whom the other side cannot follow, ends what is idle. What the streams mean is the business of
// the classes that derive from it. Lives as long as one of its coroutines.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "server/streaming/io.h"
#include "server/streaming/mux.h"
#include "server/streaming/transport.h"

namespace davit::server::streaming {

// What a session is made of beside its request.
struct SessionParts {
  std::shared_ptr<Loop> loop;
  Executor& executor;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<Mux> mux;
  std::chrono::milliseconds idle_timeout;
  std::chrono::milliseconds stream_time;  // Limits::streams
};

// Input of one stream on its way to a descriptor.
struct Inbox {
  explicit Inbox(Loop& loop) : changed(loop) {}

  std::string bytes;
  bool ended = false;  // nothing will be added
  Signal changed;
};

// What the end of an input means to where it goes.
enum class PumpEnd { kClose, kHalfClose };

class Session : public MuxEvents, public std::enable_shared_from_this<Session> {
 public:
  virtual ~Session() = default;

  // Serves until both sides are done. `early`: what came right behind the HTTP request.
  awaitable<void> Serve(std::string early);

 protected:
  explicit Session(SessionParts parts);

  // What the session is about; when it returns the client is told good-bye.
  virtual awaitable<void> Work() = 0;
  // The client is gone: whoever waits for it has to wake up.
  virtual void OnGone() = 0;

  [[nodiscard]] bool gone() const { return gone_; }
  Mux& mux() { return *parts_.mux; }
  Loop& loop() { return *parts_.loop; }
  const std::shared_ptr<Loop>& shared_loop() { return parts_.loop; }
  Executor& executor() { return parts_.executor; }
  [[nodiscard]] std::chrono::milliseconds stream_time() const { return parts_.stream_time; }

  // After anything that makes the multiplexer say something.
  void Flush() { output_ready_.Notify(); }
  // Until all is sent or the client is gone.
  awaitable<void> SendText(StreamId id, std::string text);
  // From the descriptor to the stream, until the end of either; then closes the descriptor. With
  // *draining the end is also when nothing is left to read.
  awaitable<void> PumpOut(Descriptor& from, StreamId to, const bool& draining);
  // The other way; what nobody reads any more is dropped.
  awaitable<void> PumpIn(std::shared_ptr<Inbox> from, StreamId id, Descriptor& to,
                         PumpEnd end = PumpEnd::kClose);
  // For MuxEvents::OnData and OnEnd of a stream with an inbox.
  static void Put(Inbox& inbox, std::string_view data);
  static void PutEnd(Inbox& inbox);

 private:
  awaitable<void> ReadLoop();
  awaitable<void> WriteLoop(std::shared_ptr<Session> self);
  awaitable<void> Watch(std::shared_ptr<Session> self);
  awaitable<void> WorkThenFinish(std::shared_ptr<Session> self);
  awaitable<bool> AwaitRoom(StreamId id);
  void Feed(std::string_view bytes);
  void MarkGone();
  void CloseWithin(std::chrono::steady_clock::duration time);

  SessionParts parts_;
  Signal output_ready_;
  Signal room_;
  Signal input_wanted_;
  asio::steady_timer watch_;
  std::chrono::steady_clock::time_point last_activity_;
  std::chrono::steady_clock::time_point close_at_ = std::chrono::steady_clock::time_point::max();
  bool broken_ = false;     // the client broke the protocol
  bool finishing_ = false;  // Work is done
  bool gone_ = false;
  bool reading_ = true;
};

}  // namespace davit::server::streaming
