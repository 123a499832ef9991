// SPDX-License-Identifier: Apache-2.0
#include "server/streaming/http/upgrade.h"

#include <array>
#include <span>

#include <openssl/evp.h>

#include "base/status.h"
#include "base/text.h"

namespace davit::server::streaming::http {
namespace {

constexpr char kSpdyProtocols[] = "x-stream-protocol-version";
constexpr char kWebSocketProtocols[] = "sec-websocket-protocol";
constexpr char kWebSocketGuid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, 1.3
constexpr size_t kWebSocketKeySize = 24;                                   // base64 of 16 bytes
constexpr char kBinaryWithoutName[] = "";

struct Protocol {
  const char* name;
  Transport transport;
  int version;
  websocket::ChannelFormat format = {};
};

constexpr Protocol kSpdyCommand[] = {{"v4.channel.k8s.io", Transport::kSpdy, 4},
                                     {"v3.channel.k8s.io", Transport::kSpdy, 3},
                                     {"v2.channel.k8s.io", Transport::kSpdy, 2},
                                     {"channel.k8s.io", Transport::kSpdy, 1}};
constexpr Protocol kWebSocketCommand[] = {
    {"v5.channel.k8s.io", Transport::kChannels, 5, {.base64 = false, .close_signal = true}},
    {"v4.channel.k8s.io", Transport::kChannels, 4},
    {"v4.base64.channel.k8s.io", Transport::kChannels, 4, {.base64 = true}},
    {"channel.k8s.io", Transport::kChannels, 1},
    {"base64.channel.k8s.io", Transport::kChannels, 1, {.base64 = true}},
    {kBinaryWithoutName, Transport::kChannels, 1}};
constexpr Protocol kSpdyPorts[] = {{"portforward.k8s.io", Transport::kSpdy, 1}};
constexpr Protocol kWebSocketPorts[] = {
    {"SPDY/3.1+portforward.k8s.io", Transport::kSpdyInWebSocket, 1},
    {"v5.channel.k8s.io", Transport::kChannels, 5, {.base64 = false, .close_signal = true}},
    {"v4.channel.k8s.io", Transport::kChannels, 4},
    {"v4.base64.channel.k8s.io", Transport::kChannels, 4, {.base64 = true}},
    {kBinaryWithoutName, Transport::kChannels, 4}};

absl::StatusOr<Protocol> Choose(const std::vector<std::string>& wanted,
                                std::span<const Protocol> known) {
  std::vector<std::string> names;
  for (const Protocol& protocol : known) {
    names.emplace_back(protocol.name);
  }
  for (const std::string& name : wanted) {
    for (const Protocol& protocol : known) {
      if (name == protocol.name) {
        return protocol;
      }
    }
  }
  return PermissionDenied("unable to negotiate protocol: client supports {}, server accepts {}",
                          Printable(Join(wanted, ", ")), Join(names, ", "));
}

absl::StatusOr<std::string> AcceptKey(const Request& request) {
  const auto key = request.headers.find("sec-websocket-key");
  if (key == request.headers.end() || key->second.size() != kWebSocketKeySize ||
      !websocket::DecodeBase64(key->second).ok()) {
    return InvalidArgument("a WebSocket request without a key of 16 bytes in base64");
  }
  const std::string text = key->second + kWebSocketGuid;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1) {
    return Internal("SHA-1, which WebSocket needs, is not to be had");
  }
  return websocket::EncodeBase64({reinterpret_cast<const char*>(digest.data()), size});
}

absl::StatusOr<Upgrade> ToSpdy(const Request& request, std::span<const Protocol> known) {
  const std::vector<std::string> wanted = request.List(kSpdyProtocols);
  if (wanted.empty()) {
    return InvalidArgument("unable to upgrade: X-Stream-Protocol-Version is required");
  }
  ASSIGN_OR_RETURN(const Protocol protocol, Choose(wanted, known));
  return Upgrade{.transport = protocol.transport,
                 .version = protocol.version,
                 .answer = fmt::format("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                                       "Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: {}\r\n\r\n",
                                       protocol.name)};
}

absl::StatusOr<Upgrade> ToWebSocket(const Request& request, std::span<const Protocol> known) {
  if (request.method != "GET") {
    return InvalidArgument("a WebSocket request with method {}; it has to be GET",
                           Printable(request.method, 20));
  }
  if (!request.Has("sec-websocket-version", "13")) {
    return InvalidArgument("a WebSocket request that is not of version 13");
  }
  ASSIGN_OR_RETURN(const std::string accept, AcceptKey(request));
  std::vector<std::string> wanted = request.List(kWebSocketProtocols);
  if (wanted.empty()) {
    wanted.emplace_back(kBinaryWithoutName);
  }
  ASSIGN_OR_RETURN(const Protocol protocol, Choose(wanted, known));
  std::string answer = fmt::format(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Accept: {}\r\n",
      accept);
  if (*protocol.name != '\0') {
    answer += fmt::format("Sec-WebSocket-Protocol: {}\r\n", protocol.name);
  }
  return Upgrade{.transport = protocol.transport,
                 .version = protocol.version,
                 .format = protocol.format,
                 .answer = answer + "\r\n"};
}

absl::StatusOr<Upgrade> Negotiate(const Request& request, std::span<const Protocol> spdy,
                                  std::span<const Protocol> web_socket) {
  if (request.Has("connection", "upgrade")) {
    if (request.Has("upgrade", "websocket")) {
      return ToWebSocket(request, web_socket);
    }
    if (request.Has("upgrade", "SPDY/3.1")) {
      return ToSpdy(request, spdy);
    }
  }
  return InvalidArgument(
      "unable to upgrade: the request asks neither for SPDY/3.1 nor for "
      "WebSocket");
}

}  // namespace

absl::StatusOr<Upgrade> UpgradeForCommand(const Request& request) {
  return Negotiate(request, kSpdyCommand, kWebSocketCommand);
}

absl::StatusOr<Upgrade> UpgradeForPorts(const Request& request) {
  return Negotiate(request, kSpdyPorts, kWebSocketPorts);
}

}  // namespace davit::server::streaming::http
