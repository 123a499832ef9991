// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/transport.h"

#include <sys/socket.h>

#include <array>
#include <utility>

#include <boost/asio/write.hpp>

namespace davit::server::streaming {
namespace {

using asio::ip::tcp;

// Waits, then reads into the buffer that all share: a silent connection holds none.
class PlainTransport final : public Transport {
 public:
  PlainTransport(Loop& loop, tcp::socket socket) : loop_(loop), socket_(std::move(socket)) {}

  awaitable<bool> Open() override { co_return true; }

  awaitable<std::string_view> Read() override {
    while (true) {
      const auto [error] = co_await socket_.async_wait(tcp::socket::wait_read, kTuple);
      if (error) {
        co_return std::string_view();
      }
      const ssize_t count =
          recv(socket_.native_handle(), loop_.scratch.get(), Loop::kScratch, MSG_DONTWAIT);
      if (count >= 0) {
        co_return std::string_view(loop_.scratch.get(), static_cast<size_t>(count));
      }
      if (errno != EAGAIN && errno != EINTR) {
        co_return std::string_view();
      }
    }
  }

  awaitable<bool> Write(std::string_view data) override {
    const auto [error, count] =
        co_await asio::async_write(socket_, asio::buffer(data.data(), data.size()), kTuple);
    co_return !error;
  }

  awaitable<void> EndOutput() override {
    boost::system::error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    co_return;
  }

  void Close() override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

 private:
  Loop& loop_;
  tcp::socket socket_;
};

}  // namespace

std::unique_ptr<Transport> MakePlainTransport(Loop& loop, tcp::socket socket) {
  return std::make_unique<PlainTransport>(loop, std::move(socket));
}

}  // namespace davit::server::streaming
