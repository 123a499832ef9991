// SPDX-License-Identifier: Apache-2.0
//
// A connection with a client: TCP, or TLS over TCP. Bytes only.
#pragma once

#include <memory>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>

#include "server/streaming/io.h"

namespace boost::asio::ssl {
class context;
}

namespace davit::server::streaming {

class Transport {
 public:
  virtual ~Transport() = default;
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // TLS: the handshake. False ends the connection.
  virtual awaitable<bool> Open() = 0;
  // Valid until the next co_await. Empty: the end, or an error.
  virtual awaitable<std::string_view> Read() = 0;
  // All of it, or false.
  virtual awaitable<bool> Write(std::string_view data) = 0;
  // We send no more.
  virtual awaitable<void> EndOutput() = 0;
  // At once; whoever waits is woken.
  virtual void Close() = 0;
};

std::unique_ptr<Transport> MakePlainTransport(Loop& loop, asio::ip::tcp::socket socket);
// The TLS context is kept as long as the connection lives, whatever a reload brings.
std::unique_ptr<Transport> MakeTlsTransport(asio::ip::tcp::socket socket,
                                            std::shared_ptr<asio::ssl::context> tls);

}  // namespace davit::server::streaming
