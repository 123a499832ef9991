// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/http/upgrade.h"

#include <gtest/gtest.h>

namespace davit::server::streaming::http {
namespace {

using Code = absl::StatusCode;

std::string Head(const std::string& headers, const std::string& method = "POST") {
  return method + " /exec/0123?tty=1 HTTP/1.1\r\nHost: node\r\n" + headers + "\r\n";
}

absl::StatusOr<Upgrade> Command(const std::string& headers, const std::string& method = "POST") {
  const auto request = ParseRequest(Head(headers, method));
  return request.ok() ? UpgradeForCommand(*request) : request.status();
}

constexpr char kSpdy[] = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n";
constexpr char kWebSocket[] =
    "Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

TEST(ParseRequest, TakesWhatItNeeds) {
  const auto request = ParseRequest(Head("X-List: a, b\r\nx-list:c\r\n"));
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->method, "POST");
  EXPECT_EQ(request->path, "/exec/0123");
  EXPECT_EQ(request->List("x-list"), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(request->Has("x-list", "B"));
  EXPECT_FALSE(request->Has("x-list", "d"));
}

TEST(ParseRequest, RefusesWhatIsNone) {
  for (const std::string& bad :
       {std::string("\r\n\r\n"), std::string("GET\r\n\r\n"), std::string("GET / HTTP/9.9\r\n\r\n"),
        std::string("\x16\x03\x01\r\n\r\n"), std::string("GET / HTTP/1.1\r\nno colon\r\n\r\n"),
        Head("Content-Length: 5\r\n"), Head("Transfer-Encoding: chunked\r\n"),
        Head("Content-Length: 1\r\nContent-Length: 2\r\n"), Head("A: b\r\n") + "more",
        Head("A: " + std::string(20'000, 'b') + "\r\n"),
        std::string("GET / HTTP/1.1\r\nHost: x")}) {
    EXPECT_EQ(ParseRequest(bad).status().code(), Code::kInvalidArgument) << bad.substr(0, 60);
  }
}

TEST(Upgrade, SpdyTakesTheFirstOfTheClientsVersionsThatItKnows) {
  const auto v4 = Command(std::string(kSpdy) +
                          "X-Stream-Protocol-Version: v9.channel.k8s.io, v4.channel.k8s.io\r\n"
                          "X-Stream-Protocol-Version: channel.k8s.io\r\n");
  ASSERT_TRUE(v4.ok()) << v4.status();
  EXPECT_EQ(v4->transport, Transport::kSpdy);
  EXPECT_EQ(v4->version, 4);
  EXPECT_NE(v4->answer.find("\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n"),
            std::string::npos);
  EXPECT_EQ(Command(std::string(kSpdy) + "X-Stream-Protocol-Version: channel.k8s.io\r\n")->version,
            1);
  EXPECT_EQ(Command(std::string(kSpdy) + "X-Stream-Protocol-Version: v9.x\r\n").status().code(),
            Code::kPermissionDenied);
  EXPECT_EQ(Command(kSpdy).status().code(), Code::kInvalidArgument);
}

TEST(Upgrade, WebSocket) {
  const auto v5 = Command(
      std::string(kWebSocket) + "Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io\r\n",
      "GET");
  ASSERT_TRUE(v5.ok()) << v5.status();
  EXPECT_EQ(v5->version, 5);
  EXPECT_TRUE(v5->format.close_signal);
  EXPECT_NE(v5->answer.find("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            std::string::npos);
  EXPECT_NE(v5->answer.find("\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n"),
            std::string::npos);
  const auto encoded =
      Command(std::string(kWebSocket) + "Sec-WebSocket-Protocol: base64.channel.k8s.io\r\n", "GET");
  EXPECT_TRUE(encoded->format.base64);
  const auto unnamed = Command(kWebSocket, "GET");
  ASSERT_TRUE(unnamed.ok());
  EXPECT_EQ(unnamed->answer.find("Sec-WebSocket-Protocol"), std::string::npos);
  EXPECT_EQ(
      Command(std::string(kWebSocket) + "Sec-WebSocket-Protocol: chat\r\n", "GET").status().code(),
      Code::kPermissionDenied);
  EXPECT_EQ(Command(kWebSocket, "POST").status().code(), Code::kInvalidArgument);
}

TEST(Upgrade, WithoutOneIsRefused) {
  EXPECT_EQ(Command("").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Command("Upgrade: SPDY/3.1\r\n").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Command("Connection: Upgrade\r\nUpgrade: h2c\r\n").status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(Command("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: short\r\n",
                    "GET")
                .status()
                .code(),
            Code::kInvalidArgument);
}

TEST(Upgrade, PortForward) {
  const auto request = ParseRequest(Head(
      std::string(kWebSocket) + "Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io\r\n", "GET"));
  EXPECT_EQ(UpgradeForPorts(*request)->transport, Transport::kSpdyInWebSocket);
  const auto spdy =
      ParseRequest(Head(std::string(kSpdy) + "X-Stream-Protocol-Version: portforward.k8s.io\r\n"));
  EXPECT_EQ(UpgradeForPorts(*spdy)->transport, Transport::kSpdy);
  EXPECT_EQ(UpgradeForCommand(*spdy).status().code(), Code::kPermissionDenied);
}

TEST(ErrorAnswer, SaysWhy) {
  const std::string answer = ErrorAnswer(absl::NotFoundError("no such URL"));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 404 Not Found\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nno such URL\n")) << answer;
}

}  // namespace
}  // namespace davit::server::streaming::http
