// SPDX-License-Identifier: Apache-2.0
#include "test/e2e/pod_echo.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/file.h"
#include "base/json.h"
#include "base/namespace.h"
#include "base/status.h"
#include "test/e2e/wait.h"

namespace davit::e2e {
namespace {

constexpr int kBacklog = 128;
constexpr size_t kMaxText = size_t{16} << 20U;

absl::StatusOr<UniqueFd> Listen(int family) {
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(PodEcho::kPort);
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = v4.sin_port;
  v6.sin6_addr = in6addr_loopback;
  const bool is_v6 = family == AF_INET6;
  const auto* address =
      is_v6 ? reinterpret_cast<const sockaddr*>(&v6) : reinterpret_cast<const sockaddr*>(&v4);
  if (bind(fd.get(), address, is_v6 ? sizeof(v6) : sizeof(v4)) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    return ErrnoStatus(errno, "listen in the pod");
  }
  return fd;
}

std::string NetNsOf(Client& client, const std::string& container) {
  v1::ContainerStatusRequest request;
  request.set_container_id(container);
  request.set_verbose(true);
  const auto response = Must(client.ContainerStatus(request));
  const auto info = Must(ParseJson(response.info().at("info"), "the container's info"));
  return "/proc/" + std::to_string(JsonInt(info, "pid")) + "/ns/net";
}

}  // namespace

PodEcho::PodEcho(Client& client, const std::string& container, int family) {
  Must(RunInNetNs(NetNsOf(client, container), [this, family] {
    auto listener = Listen(family);
    if (listener.ok()) {
      listener_ = *std::move(listener);
    }
    return listener.status();
  }));
  thread_ = std::thread([this] {
    while (true) {
      const UniqueFd peer(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer.valid()) {
        return;
      }
      const std::string text = ReadFd(peer.get(), kMaxText, "a client").value_or("");
      for (size_t sent = 0; sent < text.size();) {
        const ssize_t count =
            send(peer.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (count <= 0) {
          break;
        }
        sent += static_cast<size_t>(count);
      }
    }
  });
}

PodEcho::~PodEcho() {
  shutdown(listener_.get(), SHUT_RDWR);
  thread_.join();
}

}  // namespace davit::e2e
