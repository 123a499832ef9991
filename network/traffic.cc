// SPDX-License-Identifier: Apache-2.0
#include "network/traffic.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/namespace.h"
#include "base/status.h"

namespace davit::network {
namespace {

constexpr int kWaitMs = 5000;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

int FamilyOf(const std::string& ip) {
  return ip.find(':') == std::string::npos ? AF_INET : AF_INET6;
}

Address AddressOf(const std::string& ip, int port) {
  Address result;
  const auto net_port = htons(static_cast<uint16_t>(port));
  if (FamilyOf(ip) == AF_INET) {
    auto* const four = reinterpret_cast<sockaddr_in*>(&result.storage);
    four->sin_family = AF_INET;
    four->sin_port = net_port;
    EXPECT_EQ(inet_pton(AF_INET, ip.c_str(), &four->sin_addr), 1) << ip;
    result.size = sizeof(*four);
  } else {
    auto* const six = reinterpret_cast<sockaddr_in6*>(&result.storage);
    six->sin6_family = AF_INET6;
    six->sin6_port = net_port;
    EXPECT_EQ(inet_pton(AF_INET6, ip.c_str(), &six->sin6_addr), 1) << ip;
    result.size = sizeof(*six);
  }
  return result;
}

void BindTo(int fd, const std::string& ip, int port) {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  // IPv6: an address that the kernel has not checked for doubles yet can be bound already.
  setsockopt(fd, SOL_IPV6, IPV6_FREEBIND, &on, sizeof(on));
  Address address = AddressOf(ip, port);
  EXPECT_EQ(bind(fd, address.get(), address.size), 0) << ip << ": " << ErrnoText(errno);
}

// Whether a connection that was begun comes about.
bool Completes(int fd, int how_long_ms) {
  pollfd waiting{fd, POLLOUT, 0};
  int error = 0;
  socklen_t size = sizeof(error);
  return poll(&waiting, 1, how_long_ms) == 1 &&
         getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

UniqueFd TryConnect(const std::string& ip, int port, int how_long_ms) {
  UniqueFd fd(socket(FamilyOf(ip), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  Address address = AddressOf(ip, port);
  if (connect(fd.get(), address.get(), address.size) == 0 ||
      (errno == EINPROGRESS && Completes(fd.get(), how_long_ms))) {
    return fd;
  }
  return {};
}

bool Readable(int fd) {
  pollfd waiting{fd, POLLIN, 0};
  return poll(&waiting, 1, kWaitMs) == 1;
}

}  // namespace

UniqueFd ListenTcp(const std::string& ip, int port) {
  UniqueFd fd(socket(FamilyOf(ip), SOCK_STREAM | SOCK_CLOEXEC, 0));
  BindTo(fd.get(), ip, port);
  EXPECT_EQ(listen(fd.get(), 8), 0);
  return fd;
}

bool Connects(const std::string& ip, int port, int how_long_ms) {
  return TryConnect(ip, port, how_long_ms).valid();
}

UniqueFd ConnectTcp(const std::string& ip, int port) {
  UniqueFd fd = TryConnect(ip, port, kWaitMs);
  EXPECT_TRUE(fd.valid() && fcntl(fd.get(), F_SETFL, 0) == 0) << ip << ": no connection";
  return fd;
}

UniqueFd AcceptTcp(int listener) {
  UniqueFd fd(Readable(listener) ? accept4(listener, nullptr, nullptr, SOCK_CLOEXEC) : -1);
  EXPECT_TRUE(fd.valid()) << "nobody connects";
  return fd;
}

std::chrono::nanoseconds TimeToSend(int from, int to, size_t bytes) {
  constexpr size_t kPiece = size_t{1} << 20U;
  const auto begun = std::chrono::steady_clock::now();
  std::thread sender([&] {
    const std::vector<char> piece(kPiece);
    for (size_t sent = 0; sent < bytes;) {
      const ssize_t count = send(from, piece.data(), std::min(kPiece, bytes - sent), MSG_NOSIGNAL);
      if (count <= 0) {
        ADD_FAILURE() << "send: " << ErrnoText(errno);
        shutdown(from, SHUT_RDWR);
        return;
      }
      sent += static_cast<size_t>(count);
    }
  });
  std::vector<char> piece(kPiece);
  size_t received = 0;
  while (received < bytes) {
    const ssize_t count = recv(to, piece.data(), piece.size(), 0);
    if (count <= 0) {
      ADD_FAILURE() << "recv after " << received << " bytes: " << ErrnoText(errno);
      break;
    }
    received += static_cast<size_t>(count);
  }
  sender.join();
  return std::chrono::steady_clock::now() - begun;
}

UniqueFd OpenUdp(int family, const std::string& ip, int port) {
  UniqueFd fd(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!ip.empty()) {
    BindTo(fd.get(), ip, port);
  }
  return fd;
}

void SendUdp(int fd, const std::string& ip, int port) {
  Address address = AddressOf(ip, port);
  EXPECT_EQ(sendto(fd, "ping", 4, 0, address.get(), address.size), 4) << ErrnoText(errno);
}

bool Converse(int client, const std::string& ip, int port, int server) {
  Address address = AddressOf(ip, port);
  std::array<char, 16> buffer{};
  Address from;
  from.size = sizeof(from.storage);
  if (sendto(client, "ping", 4, 0, address.get(), address.size) != 4 || !Readable(server) ||
      recvfrom(server, buffer.data(), buffer.size(), 0, from.get(), &from.size) != 4) {
    return false;
  }
  return sendto(server, "pong", 4, 0, from.get(), from.size) == 4 && Readable(client) &&
         recv(client, buffer.data(), buffer.size(), 0) == 4 && buffer[1] == 'o';
}

int ReceivedTtl(int server) {
  const int on = 1;
  std::array<char, 16> text{};
  std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec vector{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (!Readable(server) || setsockopt(server, SOL_IP, IP_RECVTTL, &on, sizeof(on)) != 0 ||
      recvmsg(server, &message, 0) < 0) {
    return -1;
  }
  int ttl = -1;
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_type == IP_TTL) {
    std::memcpy(&ttl, CMSG_DATA(header), sizeof(ttl));
  }
  return ttl;
}

std::string AcceptedFrom(int listener) {
  Address from;
  from.size = sizeof(from.storage);
  std::array<char, INET6_ADDRSTRLEN> text{};
  const UniqueFd fd(Readable(listener) ? accept4(listener, from.get(), &from.size, SOCK_CLOEXEC)
                                       : -1);
  if (fd.get() < 0) {
    return "";
  }
  const void* bytes =
      from.storage.ss_family == AF_INET
          ? static_cast<const void*>(&reinterpret_cast<sockaddr_in*>(&from.storage)->sin_addr)
          : &reinterpret_cast<sockaddr_in6*>(&from.storage)->sin6_addr;
  return inet_ntop(from.storage.ss_family, bytes, text.data(), text.size());
}

bool In(const std::string& netns, const std::function<bool()>& body) {
  bool result = false;
  const absl::Status status = RunInNetNs(netns, [&] {
    result = body();
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return result;
}

}  // namespace davit::network
