// SPDX-License-Identifier: Apache-2.0
//
// What coroutines of the streaming thread wait for. Includes Asio, so only for .cc files of this
// folder. One thread runs all: between two co_await nothing else happens, so no state is locked.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/synchronization/mutex.h"
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/context.h"
#include "base/executor.h"
#include "base/fd.h"

namespace davit::server::streaming {

namespace asio = boost::asio;
using asio::awaitable;

// Operations give their error as the first of a tuple instead of throwing it.
inline constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

// The streaming thread's context, and what its sessions share. Work on the executor may outlive the
// sessions: it keeps the Loop, and comes back through Post.
class Loop {
 public:
  static constexpr size_t kScratch = size_t{64} << 10U;

  Loop() : scratch(std::make_unique_for_overwrite<char[]>(kScratch)) {}

  [[nodiscard]] asio::io_context& context() { return *context_; }
  void Run() { context_->run(); }
  // From any thread. Dropped once the loop has ended.
  void Post(std::function<void()> work) {
    absl::MutexLock lock(&mutex_);
    if (!ended_) {
      asio::post(*context_, std::move(work));
    }
  }
  // Makes Run return.
  void Stop() {
    stopping.Cancel();
    context_->stop();
  }
  // After Run has returned: ends all sessions.
  void End() {
    {
      absl::MutexLock lock(&mutex_);
      ended_ = true;
    }
    context_.reset();
  }

  // What was read a moment ago: nobody may rely on it after a co_await.
  const std::unique_ptr<char[]> scratch;
  // Cancelled when the server stops: ends what waits on the executor.
  Context stopping;

 private:
  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<asio::io_context> context_ = std::make_unique<asio::io_context>(1);
};

// A condition to wait for: the waiter checks it again after each wake-up.
class Signal {
 public:
  explicit Signal(Loop& loop) : timer_(loop.context(), asio::steady_timer::time_point::max()) {}

  void Notify() { timer_.cancel(); }
  awaitable<void> Wait() { co_await timer_.async_wait(kTuple); }

 private:
  asio::steady_timer timer_;
};

// Calls a function after a while, unless it is destroyed before.
class Alarm {
 public:
  Alarm(Loop& loop, std::chrono::steady_clock::duration delay, std::function<void()> ring)
      : ring_(std::make_shared<std::function<void()>>(std::move(ring))),
        timer_(loop.context(), delay) {
    timer_.async_wait([weak = std::weak_ptr(ring_)](boost::system::error_code error) {
      const auto armed = weak.lock();
      if (armed && !error) {
        (*armed)();
      }
    });
  }

 private:
  std::shared_ptr<std::function<void()>> ring_;
  asio::steady_timer timer_;
};

// A pipe, terminal or socket that can be polled.
class Descriptor {
 public:
  explicit Descriptor(Loop& loop) : stream_(loop.context()) {}

  // Takes it, and makes it non-blocking. False if it cannot be polled.
  bool Open(UniqueFd fd) {
    boost::system::error_code error;
    stream_.assign(fd.get(), error);
    if (!error) {
      (void)fd.Release();
      stream_.native_non_blocking(true, error);
    }
    return !error;
  }
  [[nodiscard]] bool open() const { return stream_.is_open(); }
  [[nodiscard]] int get() { return stream_.native_handle(); }

  // False when cancelled or closed.
  awaitable<bool> Readable() { return Wait(asio::posix::stream_descriptor::wait_read); }
  awaitable<bool> Writable() { return Wait(asio::posix::stream_descriptor::wait_write); }

  void Cancel() {
    boost::system::error_code ignored;
    stream_.cancel(ignored);
  }
  void Close() {
    boost::system::error_code ignored;
    stream_.close(ignored);
  }

 private:
  awaitable<bool> Wait(asio::posix::stream_descriptor::wait_type what) {
    const auto [error] = co_await stream_.async_wait(what, kTuple);
    co_return !error;
  }

  asio::posix::stream_descriptor stream_;
};

// Runs `work` on a thread that may wait, and comes back.
template <typename T>
awaitable<T> OnExecutor(std::shared_ptr<Loop> loop, Executor& executor,
                        std::function<T(Context&)> work) {
  struct Outcome {
    explicit Outcome(Loop& its_loop) : done(its_loop) {}
    std::optional<T> value;
    Signal done;
  };
  const auto outcome = std::make_shared<Outcome>(*loop);
  // Weak: what belongs to the loop must not end on another thread.
  executor.Run([loop, weak = std::weak_ptr(outcome), work = std::move(work)] {
    Context ctx(loop->stopping, std::chrono::minutes(1));
    auto value = std::make_shared<T>(work(ctx));
    loop->Post([weak, value] {
      if (const auto waiting = weak.lock()) {
        waiting->value.emplace(std::move(*value));
        waiting->done.Notify();
      }
    });
  });
  while (!outcome->value) {
    co_await outcome->done.Wait();
  }
  co_return std::move(*outcome->value);
}

}  // namespace davit::server::streaming
