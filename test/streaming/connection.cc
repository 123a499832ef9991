// SPDX-License-Identifier: Apache-2.0
#include "test/streaming/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <utility>

namespace davit::test_streaming {
namespace {

int PatienceMs() {
  return static_cast<int>(std::chrono::milliseconds(kPatience).count());
}

bool Await(int fd, short events, int timeout_ms) {
  pollfd waiting = {.fd = fd, .events = events, .revents = 0};
  int ready = 0;
  do {
    ready = poll(&waiting, 1, timeout_ms);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

}  // namespace

Url ParseUrl(const std::string& url) {
  const std::string scheme = url.starts_with("https") ? "https://" : "http://";
  const size_t colon = url.find(':', scheme.size());
  const size_t slash = url.find('/', scheme.size());
  if (!url.starts_with(scheme) || colon == std::string::npos || slash == std::string::npos) {
    throw std::runtime_error("no URL of a streaming server: " + url);
  }
  return {url.substr(scheme.size(), colon - scheme.size()),
          std::stoi(url.substr(colon + 1, slash - colon - 1)), url.substr(slash)};
}

Connection::Connection(const Url& url) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(url.port));
  inet_pton(AF_INET, url.host.c_str(), &address.sin_addr);
  if (connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    throw std::runtime_error("connect to " + url.host + " failed");
  }
}

Connection::Connection(const Url& url, const std::shared_ptr<SSL_CTX>& tls) : Connection(url) {
  const timeval patience = {.tv_sec = kPatience.count(), .tv_usec = 0};
  setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  tls_.reset(SSL_new(tls.get()), SSL_free);
  SSL_set_fd(tls_.get(), fd_.get());
  // With TLS 1.3 the server's objection to a certificate comes with the first answer.
  if (SSL_connect(tls_.get()) != 1) {
    throw std::runtime_error("no TLS with the server");
  }
}

void Connection::Write(std::string_view data) {
  if (tls_) {
    if (SSL_write(tls_.get(), data.data(), static_cast<int>(data.size())) <= 0) {
      throw std::runtime_error("the server has closed the connection");
    }
    return;
  }
  while (!data.empty()) {
    if (!Await(fd_.get(), POLLOUT, PatienceMs())) {
      throw std::runtime_error("the server takes nothing");
    }
    const ssize_t count = send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno != EAGAIN) {
      throw std::runtime_error("the server has closed the connection");
    }
    data.remove_prefix(count > 0 ? static_cast<size_t>(count) : 0);
  }
}

std::string Connection::Read() {
  if (!pending_.empty()) {
    return std::exchange(pending_, {});
  }
  std::array<char, 65536> buffer;
  if (tls_) {
    const int count = SSL_read(tls_.get(), buffer.data(), static_cast<int>(buffer.size()));
    return count > 0 ? std::string(buffer.data(), static_cast<size_t>(count)) : std::string();
  }
  if (!Await(fd_.get(), POLLIN, PatienceMs())) {
    throw std::runtime_error("the server says nothing");
  }
  const ssize_t count = recv(fd_.get(), buffer.data(), buffer.size(), 0);
  return count > 0 ? std::string(buffer.data(), static_cast<size_t>(count)) : std::string();
}

std::string Connection::ReadExactly(size_t size) {
  std::string data;
  while (data.size() < size) {
    const std::string part = Read();
    if (part.empty()) {
      throw std::runtime_error("the connection ended too early");
    }
    data += part;
  }
  Unread(data.substr(size));
  data.resize(size);
  return data;
}

std::string Connection::ReadHead() {
  std::string data;
  while (true) {
    const std::string part = Read();
    data += part;
    const size_t end = data.find("\r\n\r\n");
    if (end != std::string::npos) {
      Unread(data.substr(end + 4));
      return data.substr(0, end + 4);
    }
    if (part.empty()) {
      return "";
    }
  }
}

std::string Connection::ReadWithin(std::chrono::milliseconds time, bool& ended) {
  ended = false;
  if (!pending_.empty()) {
    return std::exchange(pending_, {});
  }
  if (!Await(fd_.get(), POLLIN, static_cast<int>(time.count()))) {
    return "";
  }
  std::string data = Read();
  ended = data.empty();
  return data;
}

void Connection::CloseOutput() {
  shutdown(fd_.get(), SHUT_WR);
}

}  // namespace davit::test_streaming
