// SPDX-License-Identifier: Apache-2.0
#include "server/cli/stream/port_forwarder.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>

#include "base/status.h"
#include "base/text.h"
#include "server/cli/stream/channel_socket.h"

namespace davit::server::cli {
namespace {

using asio::ip::tcp;

constexpr size_t kReadBytes = size_t{16} << 10U;
constexpr size_t kOpeners = 4;  // connections that wait for their URL at one time
constexpr std::chrono::milliseconds kRetryAccept{100};
constexpr size_t kPortBytes = 2;
constexpr char kData = 0;
constexpr char kError = 1;

void Complain(uint16_t port, const std::string& what) {
  fmt::print(stderr, "davit: port {}: {}\n", port, what);
}

// One connection, from its acceptance to its end.
struct Link {
  Link(tcp::socket its_socket, uint16_t its_port) : local(std::move(its_socket)), port(its_port) {}
  tcp::socket local;
  const uint16_t port;
  std::unique_ptr<ChannelSocket> remote;
};

class Forwarder {
 public:
  explicit Forwarder(const ForwardOptions& options) : options_(options) {}

  absl::Status Listen() {
    for (const ForwardedPort& port : options_.ports) {
      ForwardedPort bound = port;
      for (const std::string& address : options_.addresses) {
        RETURN_IF_ERROR(ListenOn(address, bound));
      }
    }
    std::fflush(stdout);
    return absl::OkStatus();
  }

  void Run() { context_.run(); }

 private:
  // A port that was chosen for one address is asked for on the next, too.
  absl::Status ListenOn(const std::string& address, ForwardedPort& port) {
    boost::system::error_code error;
    const auto parsed = asio::ip::make_address(address, error);
    if (error) {
      return InvalidArgument("--address: \"{}\" is no IP address", address);
    }
    const tcp::endpoint endpoint(parsed, port.local);
    tcp::acceptor acceptor(context_);
    acceptor.open(endpoint.protocol(), error);
    if (!error) {
      acceptor.set_option(tcp::acceptor::reuse_address(true), error);
      acceptor.bind(endpoint, error);
    }
    if (!error) {
      acceptor.listen(asio::socket_base::max_listen_connections, error);
    }
    if (error) {
      return Unavailable("listen on {} port {}: {}", address, port.local, error.message());
    }
    port.local = acceptor.local_endpoint(error).port();
    fmt::print("Forwarding from {}:{} -> {}\n", parsed.is_v6() ? "[" + address + "]" : address,
               port.local, port.remote);
    asio::co_spawn(context_, Accept(std::move(acceptor), port.remote), asio::detached);
    return absl::OkStatus();
  }

  awaitable<void> Accept(tcp::acceptor acceptor, uint16_t port) {
    while (true) {
      auto [error, socket] = co_await acceptor.async_accept(kTuple);
      if (error) {
        Complain(port, "accept a connection: " + error.message());
        asio::steady_timer pause(context_, kRetryAccept);
        co_await pause.async_wait(kTuple);
        continue;
      }
      asio::co_spawn(context_, Serve(std::make_shared<Link>(std::move(socket), port)),
                     asio::detached);
    }
  }

  awaitable<void> Serve(std::shared_ptr<Link> link) {
    const auto url = co_await OpenUrl(link->port);
    absl::Status status = url.status();
    if (status.ok()) {
      auto remote = co_await ChannelSocket::Connect(*url, options_.ca_file);
      status = remote.status();
      if (status.ok()) {
        link->remote = *std::move(remote);
        asio::co_spawn(context_, PassUp(link), asio::detached);
        status = co_await PassDown(*link);
      }
    }
    if (!status.ok()) {
      Complain(link->port, Message(status));
    }
    boost::system::error_code ignored;
    link->local.shutdown(tcp::socket::shutdown_send, ignored);
    link->local.cancel(ignored);
  }

  // The call waits for the daemon: not on the thread that carries the others' bytes.
  awaitable<absl::StatusOr<std::string>> OpenUrl(uint16_t port) {
    struct Opening {
      explicit Opening(asio::io_context& context)
          : done(context, asio::steady_timer::time_point::max()) {}
      std::optional<absl::StatusOr<std::string>> url;
      asio::steady_timer done;
    };
    const auto opening = std::make_shared<Opening>(context_);
    asio::post(openers_, [this, port, mine = opening]() mutable {
      auto url = options_.open(port);
      asio::post(context_, [theirs = std::move(mine), url = std::move(url)] {
        theirs->url = url;
        theirs->done.cancel();
      });
    });
    while (!opening->url) {
      co_await opening->done.async_wait(kTuple);
    }
    co_return *std::move(opening->url);
  }

  awaitable<void> PassUp(std::shared_ptr<Link> link) {
    std::array<char, kReadBytes> buffer;
    while (true) {
      const auto [error, count] =
          co_await link->local.async_read_some(asio::buffer(buffer), kTuple);
      if (error) {
        break;
      }
      if (!co_await link->remote->Send(kData, {buffer.data(), count})) {
        co_return;
      }
    }
    co_await link->remote->End(kData);
  }

  // Each channel begins with its port, two bytes.
  static awaitable<absl::Status> PassDown(Link& link) {
    std::array<size_t, 2> skip = {kPortBytes, kPortBytes};
    std::string failure;
    while (true) {
      auto message = co_await link.remote->Receive();
      if (!message.ok()) {
        co_return message.status();
      }
      if (!*message) {
        co_return failure.empty() ? absl::OkStatus() : Unavailable("{}", failure);
      }
      ChannelMessage& part = **message;
      if (part.channel != kData && part.channel != kError) {
        continue;
      }
      size_t& left = skip[static_cast<size_t>(part.channel)];
      const size_t head = std::min(left, part.data.size());
      left -= head;
      part.data.erase(0, head);
      if (part.channel == kError) {
        failure += part.data;
        continue;
      }
      const auto [error, count] =
          co_await asio::async_write(link.local, asio::buffer(part.data), kTuple);
      if (error) {
        co_return absl::OkStatus();  // the local side is gone: nobody to tell
      }
    }
  }

  const ForwardOptions& options_;
  asio::io_context context_{1};
  asio::thread_pool openers_{kOpeners};
};

}  // namespace

absl::StatusOr<ForwardedPort> ParseForwardedPort(const std::string& text) {
  const size_t colon = text.find(':');
  const auto remote = ParseUint(colon == std::string::npos ? text : text.substr(colon + 1));
  const auto local = colon == std::string::npos ? remote
                     : colon == 0               ? std::optional<uint64_t>(0)
                                                : ParseUint(text.substr(0, colon));
  if (!remote || *remote == 0 || *remote > UINT16_MAX || !local || *local > UINT16_MAX) {
    return InvalidArgument("\"{}\" is no port: write LOCAL:REMOTE, REMOTE or :REMOTE", text);
  }
  return ForwardedPort{static_cast<uint16_t>(*local), static_cast<uint16_t>(*remote)};
}

absl::Status ForwardPorts(const ForwardOptions& options) {
  Forwarder forwarder(options);
  RETURN_IF_ERROR(forwarder.Listen());
  forwarder.Run();
  return absl::OkStatus();
}

}  // namespace davit::server::cli
