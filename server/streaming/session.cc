// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/session.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/log.h"
#include "base/status.h"

namespace davit::server::streaming {
namespace {

using Clock = std::chrono::steady_clock;

// For the last words to reach the client, and for the client to close in its turn: closed at once,
// TCP would throw away what is on its way.
constexpr std::chrono::seconds kFlushTime{60};
constexpr std::chrono::seconds kLingerTime{5};

ssize_t TryWrite(Descriptor& to, std::string_view data) {
  if (!to.open()) {
    errno = EBADF;
    return -1;
  }
  return write(to.get(), data.data(), data.size());
}

}  // namespace

Session::Session(SessionParts parts)
    : parts_(std::move(parts)),
      output_ready_(*parts_.loop),
      room_(*parts_.loop),
      input_wanted_(*parts_.loop),
      watch_(parts_.loop->context()),
      last_activity_(Clock::now()) {}

awaitable<void> Session::Serve(std::string early) {
  const std::shared_ptr<Session> self = shared_from_this();
  asio::co_spawn(loop().context(), WriteLoop(self), asio::detached);
  asio::co_spawn(loop().context(), Watch(self), asio::detached);
  asio::co_spawn(loop().context(), WorkThenFinish(self), asio::detached);
  if (!early.empty()) {
    Feed(early);
  }
  co_await ReadLoop();
}

awaitable<void> Session::WorkThenFinish(std::shared_ptr<Session> /*self*/) {
  co_await Work();
  finishing_ = true;
  mux().Finish();
  CloseWithin(kFlushTime);
  Flush();
  input_wanted_.Notify();
}

awaitable<void> Session::ReadLoop() {
  while (!gone_) {
    while (!mux().WantsInput() && !gone_ && !finishing_) {
      co_await input_wanted_.Wait();
    }
    const std::string_view bytes = co_await parts_.transport->Read();
    if (bytes.empty()) {
      break;
    }
    Feed(bytes);
  }
  MarkGone();
  // The last words are still to be sent, see kLingerTime.
  while (broken_ || mux().client_finished()) {
    const std::string_view rest = co_await parts_.transport->Read();
    if (rest.empty()) {
      break;
    }
  }
  reading_ = false;
  watch_.cancel();
}

void Session::Feed(std::string_view bytes) {
  if (!finishing_) {
    last_activity_ = Clock::now();
  }
  const absl::Status status = mux().Feed(bytes, *this);
  if (!status.ok()) {
    log::Debug("streaming: {}", Message(status));
    broken_ = true;
  }
  if (broken_ || mux().client_finished()) {
    CloseWithin(kLingerTime);
    MarkGone();
  }
  room_.Notify();
  Flush();
}

awaitable<void> Session::WriteLoop(std::shared_ptr<Session> /*self*/) {
  while (true) {
    while (!mux().HasOutput() && !gone_ && !finishing_) {
      co_await output_ready_.Wait();
    }
    if (!mux().HasOutput()) {
      break;
    }
    const std::string data = mux().TakeOutput();
    const bool sent = co_await parts_.transport->Write(data);
    if (!sent) {
      MarkGone();
      break;
    }
    last_activity_ = Clock::now();
    room_.Notify();
    input_wanted_.Notify();
  }
  CloseWithin(kLingerTime);
  co_await parts_.transport->EndOutput();
}

// Closes the connection when it is idle for too long, or does not end when it should.
awaitable<void> Session::Watch(std::shared_ptr<Session> /*self*/) {
  while (reading_) {
    const Clock::time_point until = std::min(close_at_, last_activity_ + parts_.idle_timeout);
    if (Clock::now() >= until) {
      if (until != close_at_) {
        log::Info("streaming: a session is closed after {} s without a byte",
                  std::chrono::duration_cast<std::chrono::seconds>(parts_.idle_timeout).count());
      }
      break;
    }
    watch_.expires_at(until);
    co_await watch_.async_wait(kTuple);
  }
  parts_.transport->Close();
  MarkGone();
}

// The first reason to close stands: a later one gives no more time.
void Session::CloseWithin(Clock::duration time) {
  close_at_ = std::min(close_at_, Clock::now() + time);
  watch_.cancel();
}

void Session::MarkGone() {
  if (!gone_) {
    gone_ = true;
    room_.Notify();
    output_ready_.Notify();
    input_wanted_.Notify();
    OnGone();
  }
}

awaitable<void> Session::SendText(StreamId id, std::string text) {
  size_t done = 0;
  while (done < text.size()) {
    const bool room = co_await AwaitRoom(id);
    if (!room) {
      break;
    }
    const std::string_view part = std::string_view(text).substr(done, mux().Room(id));
    mux().Send(id, part);
    Flush();
    done += part.size();
  }
}

awaitable<bool> Session::AwaitRoom(StreamId id) {
  while (!gone_ && mux().Accepts(id) && mux().Room(id) == 0) {
    co_await room_.Wait();
  }
  co_return !gone_ && mux().Accepts(id);
}

awaitable<void> Session::PumpOut(Descriptor& from, StreamId to, const bool& draining) {
  while (true) {
    const bool room = co_await AwaitRoom(to);
    if (!room) {
      break;
    }
    if (!draining) {
      co_await from.Readable();
    }
    if (!from.open()) {
      break;
    }
    const size_t wanted = std::min(mux().Room(to), Loop::kScratch);
    if (wanted == 0) {
      continue;
    }
    const ssize_t count = read(from.get(), loop().scratch.get(), wanted);
    if (count > 0) {
      mux().Send(to, {loop().scratch.get(), static_cast<size_t>(count)});
      Flush();
    } else if (count == 0 || (errno != EAGAIN && errno != EINTR) || (errno == EAGAIN && draining)) {
      break;  // EIO is how a terminal ends
    }
  }
  from.Close();
}

void Session::Put(Inbox& inbox, std::string_view data) {
  inbox.bytes.append(data);
  inbox.changed.Notify();
}

void Session::PutEnd(Inbox& inbox) {
  inbox.ended = true;
  inbox.changed.Notify();
}

awaitable<void> Session::PumpIn(std::shared_ptr<Inbox> from, StreamId id, Descriptor& to,
                                PumpEnd end) {
  while (true) {
    while (from->bytes.empty() && !from->ended) {
      co_await from->changed.Wait();
    }
    if (from->bytes.empty()) {
      break;
    }
    const std::string chunk = std::exchange(from->bytes, {});
    size_t done = 0;
    while (done < chunk.size()) {
      const ssize_t count = TryWrite(to, std::string_view(chunk).substr(done));
      if (count < 0 && errno == EAGAIN) {
        co_await to.Writable();
        continue;
      }
      // Nobody reads any more: the rest is dropped, so that the client is not held up.
      const size_t step = count > 0 ? static_cast<size_t>(count) : chunk.size() - done;
      done += step;
      mux().Consume(id, step);
      input_wanted_.Notify();
      Flush();
    }
  }
  if (end == PumpEnd::kHalfClose && to.open()) {
    shutdown(to.get(), SHUT_WR);
  }
  to.Close();
}

}  // namespace davit::server::streaming
