// SPDX-License-Identifier: Apache-2.0
#include "conmon/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace davit::conmon {

int ListenControl(Fd* listener) {
  Fd fresh(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, kControlSocket, sizeof(kControlSocket));
  unlink(kControlSocket);
  if (!fresh.valid() ||
      bind(fresh.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fresh.get(), 16) != 0) {
    return errno;
  }
  *listener = static_cast<Fd&&>(fresh);
  return 0;
}

Fd AcceptClient(int listener) {
  Fd client(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (!client.valid() || getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      (peer.uid != geteuid() && peer.uid != 0)) {
    return Fd();
  }
  return client;
}

Received ReceiveRequest(int client, Request* request) {
  *request = {};
  const ssize_t size = recv(client, request, sizeof(*request), MSG_DONTWAIT);
  if (size < 0) {
    return errno == EAGAIN ? Received::kNothing : Received::kClosed;
  }
  // A later version may send more (cut off by recv) but never less than version and command.
  return size >= static_cast<ssize_t>(2 * sizeof(uint32_t)) ? Received::kRequest
                                                            : Received::kClosed;
}

bool SendReply(int client, const Reply& reply) {
  return send(client, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL) ==
         static_cast<ssize_t>(sizeof(reply));
}

}  // namespace davit::conmon
