// SPDX-License-Identifier: Apache-2.0
//
// The streaming server over real sockets, with processes of this machine in place of containers.
#include <sys/socket.h>

#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/file.h"
#include "test/streaming/server_fixture.h"

namespace davit::server::streaming {
namespace {

TEST_F(ServerTest, SpdyExec) {
  SpdyExec exec(ExecUrl("cat; echo done >&2; exit 5"));
  EXPECT_NE(exec.head.find(" 101 "), std::string::npos);
  exec.client->Send(exec.in, "hello ");
  exec.client->Until([&] { return exec.client->stream(exec.out).data == "hello "; });
  exec.client->Send(exec.in, "world", true);
  const std::string result = exec.Result();
  EXPECT_NE(result.find(R"("reason":"NonZeroExitCode")"), std::string::npos) << result;
  EXPECT_NE(result.find(R"({"message":"5","reason":"ExitCode"})"), std::string::npos) << result;
  EXPECT_EQ(exec.client->stream(exec.out).data, "hello world");
  EXPECT_EQ(exec.client->stream(exec.err).data, "done\n");
  EXPECT_TRUE(exec.client->stream(exec.out).ended);
  while (exec.client->Step()) {
  }
  EXPECT_TRUE(exec.client->gone_away());
}

TEST_F(ServerTest, OlderVersionsGetText) {
  for (const char* version : {"v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"}) {
    SpdyExec good(ExecUrl("exit 0"), version);
    EXPECT_EQ(good.Result(), "");
    SpdyExec bad(ExecUrl("exit 3"), version);
    EXPECT_EQ(bad.Result(), "command terminated with non-zero exit code: exit status 3");
  }
}

TEST_F(ServerTest, AFailedStartIsTold) {
  SpdyExec exec(ExecUrl(""));
  const std::string result = exec.Result();
  EXPECT_NE(result.find(R"("reason":"InternalError")"), std::string::npos) << result;
  EXPECT_NE(result.find("no such command"), std::string::npos) << result;
}

TEST_F(ServerTest, ResizeReachesTheCommand) {
  SpdyExec exec(ExecUrl("cat", true), "v4.channel.k8s.io", true);
  exec.client->Send(exec.size, R"({"Width":120,"Height":40})");
  exec.client->Send(exec.in, "x", true);
  exec.Result();
  EXPECT_EQ(ShellEndpoint::rows, 40);
  EXPECT_EQ(ShellEndpoint::columns, 120);
}

TEST_F(ServerTest, WhatTheCommandLeavesBehindHoldsNobodyUp) {
  SpdyExec exec(ExecUrl("sleep 30 & echo out"));
  EXPECT_EQ(exec.Result(), R"({"metadata":{},"status":"Success"})");
  EXPECT_EQ(exec.client->stream(exec.out).data, "out\n");
}

TEST_F(ServerTest, MuchDataGoesBothWays) {
  constexpr size_t kSize = size_t{32} << 20U;
  SpdyExec exec(ExecUrl("cat"));
  std::thread writer([&] {
    for (size_t sent = 0; sent < kSize; sent += 65536) {
      exec.client->Send(exec.in, std::string(65536, 'x'), sent + 65536 == kSize);
    }
  });
  exec.client->Until([&] {
    exec.client->stream(exec.out).data.clear();
    return exec.client->stream(exec.out).received >= kSize;
  });
  writer.join();
  EXPECT_EQ(exec.Result(), R"({"metadata":{},"status":"Success"})");
  EXPECT_EQ(exec.client->stream(exec.out).received, kSize);
}

TEST_F(ServerTest, AClientWithWindowsGetsWhatTheyAllow) {
  SpdyExec exec(ExecUrl("head -c 1000000 /dev/zero"));
  exec.client->InitialWindow(5000);
  exec.client->WindowUpdate(0, 1 << 20);
  size_t given = 0;
  exec.client->Until([&] {
    const size_t received = exec.client->stream(exec.out).received;
    if (received > given) {
      exec.client->WindowUpdate(exec.out, static_cast<uint32_t>(received - given));
      given = received;
    }
    return exec.client->stream(exec.error).ended;
  });
  EXPECT_EQ(exec.client->stream(exec.out).received, 1000000U);
}

// A client that reads nothing stops the command, and memory stays where it is.
TEST_F(ServerTest, ASlowClientHoldsTheCommandBack) {
  const std::string url = ExecUrl("yes | head -c 100000000; echo > /dev/null");
  SpdyExec exec(url);
  exec.client->Until([&] { return exec.client->stream(exec.out).received > 0; });
  const auto rss = [] {
    return std::stoul(
        ReadFile("/proc/self/statm")->substr(ReadFile("/proc/self/statm")->find(' ')));
  };
  const size_t before = rss();
  std::this_thread::sleep_for(300ms);  // time to misbehave in, not to wait for something
  EXPECT_LT(rss(), before + 2048);     // pages: 8 MiB of 100 MB
  exec.client->Until([&] {
    exec.client->stream(exec.out).data.clear();
    return exec.client->stream(exec.error).ended;
  });
  EXPECT_EQ(exec.client->stream(exec.out).received, 100000000U);
}

TEST_F(ServerTest, AClientThatGoesAwayEndsInputAndOutput) {
  ShellEndpoint::ended = false;
  {
    SpdyExec exec(ExecUrl("cat; while echo x; do :; done 2>/dev/null"));
    exec.client->Send(exec.in, "x");
    exec.client->Until([&] { return exec.client->stream(exec.out).received > 0; });
  }
  for (int i = 0; i < 1000 && !ShellEndpoint::ended; ++i) {
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_TRUE(ShellEndpoint::ended);
}

TEST_F(ServerTest, WebSocketExec) {
  const Url url = ParseUrl(ExecUrl("cat; exit 4"));
  Connection connection(url);
  WebSocketClient client(connection);
  const std::string head = client.Upgrade(url, "v5.channel.k8s.io, v4.channel.k8s.io");
  EXPECT_NE(head.find("Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n"), std::string::npos) << head;
  EXPECT_NE(head.find(WebSocketClient::ExpectedAccept()), std::string::npos);
  const WebSocketMessage first = client.Receive();
  EXPECT_EQ(first.payload, "\1");  // connected
  client.SendChannel(0, "hello");
  EXPECT_EQ(NextOf(client, 1), "hello");
  client.SendBinary(std::string("\xff\0", 2));  // the end of the input
  const std::string result = NextOf(client, 3);
  EXPECT_NE(result.find(R"("message":"4")"), std::string::npos) << result;
  EXPECT_EQ(client.Receive().opcode, 8);
}

TEST_F(ServerTest, WebSocketBase64Exec) {
  const Url url = ParseUrl(ExecUrl("echo hi"));
  Connection connection(url);
  WebSocketClient client(connection);
  client.Upgrade(url, "v4.base64.channel.k8s.io");
  EXPECT_EQ(client.Receive().payload, "1");
  const WebSocketMessage out = client.Receive();
  EXPECT_EQ(out.opcode, 1);
  EXPECT_EQ(out.payload, "1aGkK");
}

TEST_F(ServerTest, UrlsWorkOnceAndOnlyForWhatTheyAre) {
  const Url url = ParseUrl(ExecUrl("exit 0"));
  SpdyExec exec("http://127.0.0.1:" + std::to_string(url.port) + url.path);
  EXPECT_EQ(exec.Result(), R"({"metadata":{},"status":"Success"})");
  for (const std::string& path : {url.path, std::string("/exec/"), std::string("/"),
                                  std::string("/exec/") + std::string(64, '0'),
                                  "/portforward/" + ParseUrl(ExecUrl("exit 0")).path.substr(6)}) {
    Connection connection(url);
    const std::string head =
        test_streaming::UpgradeToSpdy(connection, {url.host, url.port, path}, "v4.channel.k8s.io");
    EXPECT_TRUE(head.starts_with("HTTP/1.1 404 ")) << path << head;
  }
}

TEST_F(ServerTest, HostileHttpIsRefusedAndTheServerGoesOn) {
  const Url url = ParseUrl(ExecUrl("exit 0"));
  for (const std::string& text :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("nonsense\r\n\r\n"),
        "GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\n\r\n", std::string(40'000, 'x'),
        std::string("\0\0\0\0\r\n\r\n", 8)}) {
    Connection connection(url);
    connection.Write(text);
    EXPECT_TRUE(connection.ReadHead().starts_with("HTTP/1.1 4")) << text.substr(0, 20);
  }
  // Without an upgrade, and with one that nobody knows; both use their URL up.
  for (const std::string& headers :
       {std::string(), std::string("Connection: Upgrade\r\nUpgrade: h2c\r\n")}) {
    const Url fresh = ParseUrl(ExecUrl("exit 0"));
    Connection connection(fresh);
    connection.Write("GET " + fresh.path + " HTTP/1.1\r\n" + headers + "\r\n");
    EXPECT_TRUE(connection.ReadHead().starts_with("HTTP/1.1 400 "));
  }
  SpdyExec exec(ExecUrl("exit 0"));
  EXPECT_EQ(exec.Result(), R"({"metadata":{},"status":"Success"})");
}

TEST_F(ServerTest, MalformedFramesEndOneSessionOnly) {
  SpdyExec good(ExecUrl("cat"));
  SpdyExec bad(ExecUrl("cat"));
  bad.client->SendRaw(std::string("\x80\x02\0\x01\0\0\0\0", 8));
  while (bad.client->Step()) {
  }
  EXPECT_TRUE(bad.client->gone_away());
  good.client->Send(good.in, "still here", true);
  EXPECT_EQ(good.Result(), R"({"metadata":{},"status":"Success"})");
  EXPECT_EQ(good.client->stream(good.out).data, "still here");
}

TEST_F(ServerTest, SilentClientsGiveWayToOthers) {
  const Url url = ParseUrl(ExecUrl("exit 0"));
  std::vector<std::unique_ptr<Connection>> silent;
  for (int i = 0; i < 300; ++i) {
    silent.push_back(std::make_unique<Connection>(url));
    silent.back()->Write("GET /slow");
  }
  SpdyExec exec("http://127.0.0.1:" + std::to_string(url.port) + url.path);
  EXPECT_EQ(exec.Result(), R"({"metadata":{},"status":"Success"})");
}

class ShortIdleTest : public ServerTest {
 protected:
  ShortIdleTest() : ServerTest(ShortIdle()) {}
  static config::Streaming ShortIdle() {
    config::Streaming config;
    config.idle_timeout = 1s;
    return config;
  }
};

TEST_F(ShortIdleTest, IdleSessionsEnd) {
  SpdyExec exec(ExecUrl("cat"));
  while (exec.client->Step()) {
  }
  EXPECT_FALSE(exec.client->stream(exec.error).ended);
}

using PortForwardTest = ServerTest;

TEST_F(PortForwardTest, ManyConnectionsOnOneSession) {
  const EchoServer echo(AF_INET);
  ASSERT_TRUE(echo.usable());
  const Url url = ParseUrl(PortUrl());
  Connection connection(url);
  test_streaming::UpgradeToSpdy(connection, url, "portforward.k8s.io");
  const auto client = SpdyOver(connection);
  std::vector<std::pair<uint32_t, uint32_t>> pairs;
  for (int i = 0; i < 100; ++i) {
    pairs.push_back(OpenPair(*client, echo.port(), i));
    client->Send(pairs.back().second, "message " + std::to_string(i), true);
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto [error, data] = pairs[i];
    client->Until([&, the_error = error, the_data = data] {
      return client->stream(the_error).ended && client->stream(the_data).ended;
    });
    EXPECT_EQ(client->stream(data).data, "message " + std::to_string(i));
    EXPECT_EQ(client->stream(error).data, "");
  }
}

TEST_F(PortForwardTest, Ipv6WhereNobodyListensOnIpv4) {
  const EchoServer echo(AF_INET6);
  if (!echo.usable()) {
    GTEST_SKIP() << "this machine has no IPv6 loopback address";
  }
  const Url url = ParseUrl(PortUrl());
  Connection connection(url);
  test_streaming::UpgradeToSpdy(connection, url, "portforward.k8s.io");
  const auto client = SpdyOver(connection);
  const auto pair = OpenPair(*client, echo.port(), 0);
  client->Send(pair.second, "six", true);
  client->Until([&] { return client->stream(pair.second).ended; });
  EXPECT_EQ(client->stream(pair.second).data, "six");
}

TEST_F(PortForwardTest, APortWithoutAListenerIsToldAndTheSessionGoesOn) {
  const EchoServer echo(AF_INET);
  const Url url = ParseUrl(PortUrl());
  Connection connection(url);
  test_streaming::UpgradeToSpdy(connection, url, "portforward.k8s.io");
  const auto client = SpdyOver(connection);
  const auto bad = OpenPair(*client, 1, 0);
  client->Until([&] { return client->stream(bad.first).ended; });
  EXPECT_NE(client->stream(bad.first).data.find("connect to port 1"), std::string::npos)
      << client->stream(bad.first).data;
  const auto good = OpenPair(*client, echo.port(), 1);
  client->Send(good.second, "x", true);
  client->Until([&] { return client->stream(good.second).ended; });
  EXPECT_EQ(client->stream(good.second).data, "x");
}

TEST_F(PortForwardTest, SpdyThroughWebSocket) {
  const EchoServer echo(AF_INET);
  const Url url = ParseUrl(PortUrl());
  Connection connection(url);
  WebSocketClient socket(connection);
  const std::string head = socket.Upgrade(url, "SPDY/3.1+portforward.k8s.io");
  EXPECT_NE(head.find("Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io\r\n"),
            std::string::npos);
  SpdyClient client([&](const std::string& bytes) { socket.SendBinary(bytes); },
                    [&] {
                      const WebSocketMessage message = socket.Receive();
                      return message.opcode == 2 ? message.payload : std::string();
                    });
  const auto pair = OpenPair(client, echo.port(), 0);
  client.Send(pair.second, "tunnelled", true);
  client.Until([&] { return client.stream(pair.second).ended; });
  EXPECT_EQ(client.stream(pair.second).data, "tunnelled");
}

TEST_F(PortForwardTest, WebSocketChannels) {
  const EchoServer echo(AF_INET);
  const Url url = ParseUrl(PortUrl({echo.port()}));
  Connection connection(url);
  WebSocketClient client(connection);
  client.Upgrade(url, "v4.channel.k8s.io");
  const std::string port = {static_cast<char>(echo.port() & 0xffU),
                            static_cast<char>(echo.port() >> 8U)};
  EXPECT_EQ(NextOf(client, 0), port);
  EXPECT_EQ(NextOf(client, 1), port);
  client.SendChannel(0, "through a channel");
  EXPECT_EQ(NextOf(client, 0), "through a channel");
}

TEST(Server, WhatCannotBeServedIsRefused) {
  Executor executor(1);
  config::Streaming config;
  config.address = "not-an-address";
  EXPECT_EQ(Server::Create(config, executor).status().code(), absl::StatusCode::kInvalidArgument);
  config.address = "192.0.2.1";
  EXPECT_FALSE(Server::Create(config, executor).ok());
  config.address = "127.0.0.1";
  config.tls_cert = "/nowhere.pem";
  config.tls_key = "/nowhere.pem";
  EXPECT_FALSE(Server::Create(config, executor).ok());
}

}  // namespace
}  // namespace davit::server::streaming
