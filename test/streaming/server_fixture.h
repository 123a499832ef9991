// SPDX-License-Identifier: Apache-2.0
//
// What tests of the streaming server share: the server with processes of this machine in place of
// containers, and sessions with it.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/status.h"
#include "base/subprocess.h"
#include "server/streaming/server.h"
#include "test/streaming/spdy_client.h"
#include "test/streaming/websocket_client.h"

namespace davit::server::streaming {

using namespace std::chrono_literals;
using test_streaming::Connection;
using test_streaming::ParseUrl;
using test_streaming::SpdyClient;
using test_streaming::SpdyOver;
using test_streaming::Url;
using test_streaming::WebSocketClient;
using test_streaming::WebSocketMessage;

struct Pipe {
  Pipe() {
    std::array<int, 2> ends = {};
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    reader.Reset(ends[0]);
    writer.Reset(ends[1]);
  }
  UniqueFd reader;
  UniqueFd writer;
};

// A shell script with pipes.
class ShellEndpoint final : public Endpoint {
 public:
  explicit ShellEndpoint(const std::string& script) {
    Pipe input;
    Pipe output;
    Pipe errors;
    auto process = Spawn(
        {.argv = {"/bin/sh", "-c", script},
         .env = MinimalEnv(),
         .fds = {{input.reader.get(), 0}, {output.writer.get(), 1}, {errors.writer.get(), 2}}});
    EXPECT_TRUE(process.ok()) << process.status();
    process_ = *std::move(process);
    in = std::move(input.writer);
    out = std::move(output.reader);
    err = std::move(errors.reader);
  }
  void Resize(const TerminalSize& size) override {
    rows = size.rows;
    columns = size.columns;
  }
  [[nodiscard]] int exit_fd() const override { return process_.pidfd(); }
  absl::StatusOr<std::optional<int>> ReadExit() override {
    Context ctx(10s);
    ASSIGN_OR_RETURN(const ExitStatus status, process_.Wait(ctx));
    ended = true;
    return std::optional<int>(status.code);
  }

  static inline std::atomic<int> rows = 0;
  static inline std::atomic<int> columns = 0;
  static inline std::atomic<bool> ended = false;

 private:
  Process process_;
};

class ServerTest : public testing::Test {
 protected:
  explicit ServerTest(const config::Streaming& config = {}, const Limits& limits = {}) {
    Start(config, limits);
  }

  void Start(const config::Streaming& config, const Limits& limits) {
    auto server = Server::Create(config, executor_, limits);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // All but a terminal, unless asked for.
  std::string ExecUrl(const std::string& script, bool tty = false) {
    CommandRequest request{
        .what = "exec", .in = true, .out = true, .err = !tty, .tty = tty, .start = {}};
    request.start = [script](Context&) -> absl::StatusOr<std::unique_ptr<Endpoint>> {
      if (script.empty()) {
        return NotFound("no such command");
      }
      return std::make_unique<ShellEndpoint>(script);
    };
    return *server_->AddExec(std::move(request));
  }

  std::string PortUrl(std::vector<uint16_t> ports = {}) {
    PortForwardRequest request{.what = "port-forward", .ports = std::move(ports), .sockets = {}};
    request.sockets = [](Context&) -> absl::StatusOr<std::vector<UniqueFd>> {
      std::vector<UniqueFd> sockets;
      for (const int family : {AF_INET, AF_INET6}) {
        sockets.emplace_back(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      }
      return sockets;
    };
    return *server_->AddPortForward(std::move(request));
  }

  // A pair of streams to a port.
  static std::pair<uint32_t, uint32_t> OpenPair(SpdyClient& client, uint16_t port, int request) {
    test_streaming::Pairs headers = {{"streamType", "error"},
                                     {"port", std::to_string(port)},
                                     {"requestID", std::to_string(request)}};
    const uint32_t error = client.Open(headers);
    headers[0].second = "data";
    return {error, client.Open(headers)};
  }

  Executor executor_{8};
  std::unique_ptr<Server> server_;
};

// An exec session over SPDY.
struct SpdyExec {
  explicit SpdyExec(const std::string& text, const char* version = "v4.channel.k8s.io",
                    bool tty = false)
      : url(ParseUrl(text)), connection(url) {
    head = test_streaming::UpgradeToSpdy(connection, url, version);
    client = SpdyOver(connection);
    error = client->Open({{"streamType", "error"}});
    in = client->Open({{"streamType", "stdin"}});
    out = client->Open({{"streamType", "stdout"}});
    if (tty) {
      size = client->Open({{"streamType", "resize"}});
    } else {
      err = client->Open({{"streamType", "stderr"}});
    }
  }
  std::string Result() {
    client->Until([this] { return client->stream(error).ended; });
    return client->stream(error).data;
  }

  Url url;
  Connection connection;
  std::string head;
  std::unique_ptr<SpdyClient> client;
  uint32_t error = 0, in = 0, out = 0, err = 0, size = 0;
};

// The next message of a channel.
inline std::string NextOf(WebSocketClient& client, char channel) {
  while (true) {
    const WebSocketMessage message = client.Receive();
    if (message.opcode != 2) {
      return "closed: " + message.payload;
    }
    if (message.payload.size() > 1 && message.payload[0] == channel) {
      return message.payload.substr(1);
    }
  }
}

// An echo server on the loopback addresses of this machine.
class EchoServer {
 public:
  explicit EchoServer(int family) : listener_(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in6 address6 = {};
    address6.sin6_family = AF_INET6;
    address6.sin6_addr = in6addr_loopback;
    sockaddr_in address4 = {};
    address4.sin_family = AF_INET;
    address4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool v6 = family == AF_INET6;
    usable_ =
        bind(listener_.get(),
             v6 ? reinterpret_cast<sockaddr*>(&address6) : reinterpret_cast<sockaddr*>(&address4),
             v6 ? sizeof(address6) : sizeof(address4)) == 0 &&
        listen(listener_.get(), 64) == 0;
    socklen_t size = v6 ? sizeof(address6) : sizeof(address4);
    getsockname(
        listener_.get(),
        v6 ? reinterpret_cast<sockaddr*>(&address6) : reinterpret_cast<sockaddr*>(&address4),
        &size);
    port_ = ntohs(v6 ? address6.sin6_port : address4.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~EchoServer() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;

  [[nodiscard]] bool usable() const { return usable_; }
  [[nodiscard]] uint16_t port() const { return port_; }

 private:
  void Serve() {
    std::vector<std::thread> clients;
    while (true) {
      UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client.valid()) {
        break;
      }
      clients.emplace_back([fd = std::make_shared<UniqueFd>(std::move(client))] {
        std::array<char, 4096> buffer;
        ssize_t count = 0;
        while ((count = read(fd->get(), buffer.data(), buffer.size())) > 0) {
          send(fd->get(), buffer.data(), static_cast<size_t>(count), MSG_NOSIGNAL);
        }
      });
    }
    for (std::thread& client : clients) {
      client.join();
    }
  }

  UniqueFd listener_;
  bool usable_ = false;
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace davit::server::streaming
