// SPDX-License-Identifier: Apache-2.0
#include "server/cli/stream/channel_socket.h"

#include <array>
#include <chrono>
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include "base/status.h"
#include "base/text.h"

namespace davit::server::cli {
namespace {

namespace beast = boost::beast;
namespace ssl = asio::ssl;
namespace websocket = beast::websocket;
using asio::ip::tcp;

constexpr char kProtocol[] = "v5.channel.k8s.io";
constexpr std::chrono::seconds kConnectTime{20};

struct Url {
  bool tls = false;
  tcp::endpoint address;
  std::string host;  // as in the URL
  std::string path;
};

// The daemon names an address, never a name: there is nothing to resolve.
absl::StatusOr<Url> ParseUrl(const std::string& text) {
  const auto refuse = [&] { return Internal("the daemon gave a URL that is none: {}", text); };
  Url url;
  url.tls = text.starts_with("https://");
  const size_t begin = text.find("://");
  const size_t slash = begin == std::string::npos ? begin : text.find('/', begin + 3);
  if (slash == std::string::npos || (!url.tls && !text.starts_with("http://"))) {
    return refuse();
  }
  const std::string authority = text.substr(begin + 3, slash - begin - 3);
  const size_t colon = authority.rfind(':');
  const auto port =
      colon == std::string::npos ? std::nullopt : ParseUint(authority.substr(colon + 1));
  if (!port || *port == 0 || *port > UINT16_MAX) {
    return refuse();
  }
  std::string host = authority.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  boost::system::error_code error;
  url.address = tcp::endpoint(asio::ip::make_address(host, error), static_cast<uint16_t>(*port));
  if (error) {
    return refuse();
  }
  url.host = host;
  url.path = text.substr(slash);
  return url;
}

// What the server said instead of an upgrade.
absl::Status Refusal(const websocket::response_type& response,
                     const boost::system::error_code& error) {
  const std::string reason =
      response.body().empty() ? error.message() : Printable(response.body(), 300);
  if (response.result_int() == 404) {
    return NotFound("the daemon knows the stream no longer ({}); try again", reason);
  }
  return Unavailable("the daemon did not open the stream: {}", reason);
}

// Over TCP, or TLS over TCP.
template <typename Stream>
class SocketOver final : public ChannelSocket {
 public:
  template <typename... Args>
  explicit SocketOver(std::shared_ptr<ssl::context> tls, Args&&... args)
      : tls_(std::move(tls)),
        socket_(std::forward<Args>(args)...),
        free_(socket_.get_executor(), asio::steady_timer::time_point::max()) {}

  Stream& stream() { return socket_.next_layer(); }

  awaitable<absl::Status> Upgrade(const Url& url) {
    socket_.binary(true);
    socket_.set_option(websocket::stream_base::decorator([](websocket::request_type& request) {
      request.set(beast::http::field::sec_websocket_protocol, kProtocol);
    }));
    websocket::response_type response;
    const auto [error] = co_await socket_.async_handshake(
        response, fmt::format("{}:{}", url.host, url.address.port()), url.path, kTuple);
    co_return error ? Refusal(response, error) : absl::OkStatus();
  }

  awaitable<absl::StatusOr<std::optional<ChannelMessage>>> Receive() override {
    beast::flat_buffer buffer;
    while (true) {
      const auto [error, count] = co_await socket_.async_read(buffer, kTuple);
      if (error == websocket::error::closed) {
        const websocket::close_reason& reason = socket_.reason();
        if (reason.code != websocket::close_code::normal) {
          co_return Unavailable("the daemon closed the connection: {}",
                                Printable({reason.reason.data(), reason.reason.size()}));
        }
        co_return std::optional<ChannelMessage>();
      }
      if (error) {
        co_return Unavailable("the connection with the daemon broke: {}", error.message());
      }
      const std::string_view bytes(static_cast<const char*>(buffer.cdata().data()), count);
      if (count > 0) {
        co_return ChannelMessage{bytes.front(), std::string(bytes.substr(1))};
      }
    }
  }

  awaitable<bool> Send(char channel, std::string_view data) override {
    while (sending_) {
      co_await free_.async_wait(kTuple);
    }
    sending_ = true;
    const std::array<asio::const_buffer, 2> parts = {asio::buffer(&channel, 1),
                                                     asio::buffer(data.data(), data.size())};
    const auto [error, count] = co_await socket_.async_write(parts, kTuple);
    sending_ = false;
    free_.cancel();
    co_return !error;
  }

 private:
  const std::shared_ptr<ssl::context> tls_;  // outlives the stream that was made of it
  websocket::stream<Stream> socket_;
  bool sending_ = false;
  asio::steady_timer free_;
};

absl::StatusOr<std::shared_ptr<ssl::context>> ClientTls(const std::string& ca_file) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  boost::system::error_code error;
  context->set_verify_mode(ssl::verify_peer, error);
  if (ca_file.empty()) {
    context->set_default_verify_paths(error);
  } else {
    context->load_verify_file(ca_file, error);
  }
  if (error) {
    return InvalidArgument("read the certificates of {}: {}",
                           ca_file.empty() ? "the system" : ca_file, error.message());
  }
  return context;
}

awaitable<absl::StatusOr<std::unique_ptr<ChannelSocket>>> OverTls(const Url& url,
                                                                  tcp::socket socket,
                                                                  const std::string& ca_file) {
  auto tls = ClientTls(ca_file);
  if (!tls.ok()) {
    co_return tls.status();
  }
  auto made =
      std::make_unique<SocketOver<ssl::stream<tcp::socket>>>(*tls, std::move(socket), **tls);
  made->stream().set_verify_callback(ssl::host_name_verification(url.host));
  const auto [error] = co_await made->stream().async_handshake(ssl::stream_base::client, kTuple);
  if (error) {
    co_return Unauthenticated(
        "TLS with the daemon's streaming server {}: {}; name the file of its authority with "
        "--tls-ca",
        url.host, error.message());
  }
  const absl::Status upgraded = co_await made->Upgrade(url);
  if (!upgraded.ok()) {
    co_return upgraded;
  }
  co_return made;
}

awaitable<absl::StatusOr<std::unique_ptr<ChannelSocket>>> OverTcp(const Url& url,
                                                                  tcp::socket socket) {
  auto made = std::make_unique<SocketOver<tcp::socket>>(nullptr, std::move(socket));
  const absl::Status upgraded = co_await made->Upgrade(url);
  if (!upgraded.ok()) {
    co_return upgraded;
  }
  co_return made;
}

}  // namespace

awaitable<absl::StatusOr<std::unique_ptr<ChannelSocket>>> ChannelSocket::Connect(
    std::string url_text, std::string ca_file) {
  const auto url = ParseUrl(url_text);
  if (!url.ok()) {
    co_return url.status();
  }
  tcp::socket socket(co_await asio::this_coro::executor);
  asio::steady_timer limit(socket.get_executor(), kConnectTime);
  limit.async_wait([&socket](const boost::system::error_code& error) {
    if (!error) {
      socket.close();
    }
  });
  const auto [error] = co_await socket.async_connect(url->address, kTuple);
  limit.cancel();
  if (error) {
    co_return Unavailable("connect to the daemon's streaming server {}:{}: {}", url->host,
                          url->address.port(), error.message());
  }
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  if (url->tls) {
    co_return co_await OverTls(*url, std::move(socket), ca_file);
  }
  co_return co_await OverTcp(*url, std::move(socket));
}

}  // namespace davit::server::cli
