// SPDX-License-Identifier: Apache-2.0
#include "image/fake_server.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <thread>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/text.h"

namespace davit::image {
namespace {

constexpr int kDripMs = 10;

struct Connection {
  UniqueFd fd;
  std::string in;
  std::string out;
  size_t out_sent = 0;  // of `out`
  std::string endless_chunk;
  size_t drip = 0;
  bool close_when_sent = false;
  bool stalled = false;
  bool dead = false;
};

// A whole request taken from the start of `in`; false if there is none yet.
bool TakeRequest(std::string& in, FakeRequest& request) {
  const size_t end = in.find("\r\n\r\n");
  if (end == std::string::npos) {
    return false;
  }
  const std::vector<std::string> lines = Split(in.substr(0, end), '\n');
  const std::vector<std::string> words = Words(lines[0]);
  request.method = words.at(0);
  request.target = words.at(1);
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t colon = lines[i].find(':');
    request.headers[Lower(lines[i].substr(0, colon))] = Trim(lines[i].substr(colon + 1));
  }
  const size_t length = ParseUint(request.Header("content-length")).value_or(0);
  if (in.size() < end + 4 + length) {
    return false;
  }
  request.body = in.substr(end + 4, length);
  in.erase(0, end + 4 + length);
  return true;
}

void Queue(Connection& connection, const FakeRequest& request, const FakeResponse& response) {
  connection.out += fmt::format("HTTP/1.1 {} Status\r\n", response.status);
  for (const auto& [name, value] : response.headers) {
    connection.out += name + ": " + value + "\r\n";
  }
  if (response.endless) {
    connection.out += "Transfer-Encoding: chunked\r\n\r\n";
    connection.endless_chunk =
        fmt::format("{:x}\r\n", response.body.size()) + response.body + "\r\n";
    return;
  }
  if (response.claim_length) {
    connection.out +=
        fmt::format("Content-Length: {}\r\n",
                    static_cast<int64_t>(response.body.size()) + response.length_error);
  } else {
    connection.out += "Connection: close\r\n";
    connection.close_when_sent = true;
  }
  connection.out += "\r\n";
  if (request.method == "HEAD") {
    return;
  }
  connection.drip = response.drip;
  const size_t sent = std::min({response.body.size(), response.cut_after, response.stall_after});
  connection.out += response.body.substr(0, sent);
  if (sent < response.body.size()) {
    connection.stalled = response.stall_after == sent;
    connection.close_when_sent = !connection.stalled;
  }
  connection.close_when_sent = connection.close_when_sent || response.length_error != 0;
}

}  // namespace

std::string FakeRequest::Header(const std::string& name) const {
  const auto it = headers.find(name);
  return it == headers.end() ? "" : it->second;
}

struct FakeServer::Impl {
  Handler handler;
  UniqueFd listener;
  UniqueFd stop;
  uint16_t port = 0;
  std::list<Connection> connections;
  std::thread thread;

  Impl(Handler the_handler, uint16_t wanted_port) : handler(std::move(the_handler)) {
    listener.Reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    stop.Reset(eventfd(0, EFD_CLOEXEC));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(wanted_port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(listener.get(), generic, size) != 0 || listen(listener.get(), 64) != 0 ||
        getsockname(listener.get(), generic, &size) != 0) {
      std::abort();
    }
    port = ntohs(address.sin_port);
    thread = std::thread([this] { Loop(); });
  }

  ~Impl() {
    eventfd_write(stop.get(), 1);
    thread.join();
  }

  void Loop() {
    while (true) {
      std::vector<pollfd> fds = {{stop.get(), POLLIN, 0}, {listener.get(), POLLIN, 0}};
      bool drips = false;
      for (const Connection& connection : connections) {
        drips = drips || (connection.drip > 0 && !connection.out.empty());
        const bool sends =
            (!connection.out.empty() && connection.drip == 0) || !connection.endless_chunk.empty();
        fds.push_back(
            {connection.fd.get(), static_cast<int16_t>(sends ? POLLIN | POLLOUT : POLLIN), 0});
      }
      poll(fds.data(), fds.size(), drips ? kDripMs : -1);
      if (fds[0].revents != 0) {
        return;
      }
      size_t i = 2;
      for (Connection& connection : connections) {
        Serve(connection, fds[i++].revents);
      }
      connections.remove_if([](const Connection& connection) { return connection.dead; });
      if (fds[1].revents != 0) {
        Connection fresh;
        fresh.fd.Reset(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (fresh.fd.valid()) {
          connections.push_back(std::move(fresh));
        }
      }
    }
  }

  void Serve(Connection& connection, int events) {
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) {
      char buffer[16384];
      const ssize_t count = recv(connection.fd.get(), buffer, sizeof(buffer), 0);
      if (count == 0 || (count < 0 && errno != EAGAIN)) {
        connection.dead = true;
        return;
      }
      connection.in.append(buffer, static_cast<size_t>(std::max<ssize_t>(count, 0)));
      FakeRequest request;
      while (!connection.stalled && TakeRequest(connection.in, request)) {
        Queue(connection, request, handler(request));
        request = {};
      }
    }
    if (connection.out.empty()) {
      connection.out = connection.endless_chunk;
    }
    if (!connection.out.empty()) {
      const size_t left = connection.out.size() - connection.out_sent;
      const size_t most = connection.drip > 0 ? std::min(connection.drip, left) : left;
      const ssize_t count = send(connection.fd.get(), connection.out.data() + connection.out_sent,
                                 most, MSG_NOSIGNAL);
      connection.dead = count < 0 && errno != EAGAIN;
      connection.out_sent += static_cast<size_t>(std::max<ssize_t>(count, 0));
      if (connection.out_sent == connection.out.size()) {
        connection.out.clear();
        connection.out_sent = 0;
      }
    }
    if (connection.out.empty() && connection.close_when_sent) {
      connection.dead = true;
    }
  }
};

FakeServer::FakeServer(Handler handler, uint16_t port)
    : impl_(std::make_unique<Impl>(std::move(handler), port)) {}
FakeServer::~FakeServer() = default;

uint16_t FakeServer::port() const {
  return impl_->port;
}

std::string FakeServer::host() const {
  return fmt::format("127.0.0.1:{}", impl_->port);
}

}  // namespace davit::image
