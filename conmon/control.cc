// SPDX-License-Identifier: Apache-2.0
#include "conmon/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
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

namespace {

void TakeDescriptors(msghdr* message, Fd* fds) {
  for (cmsghdr* header = CMSG_FIRSTHDR(message); header != nullptr;
       header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    // Alignment may leave room for one more than is asked for: it is not to stay open.
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int number = -1;
      memcpy(&number, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      Fd received(number);
      if (i < kMaxAttachStreams) {
        fds[i] = static_cast<Fd&&>(received);
      }
    }
  }
}

}  // namespace

Received ReceiveRequest(int client, Request* request, Fd* fds) {
  *request = {};
  iovec part = {request, sizeof(*request)};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxAttachStreams * sizeof(int))];
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t size = recvmsg(client, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0) {
    return errno == EAGAIN ? Received::kNothing : Received::kClosed;
  }
  TakeDescriptors(&message, fds);
  // A later version may send more (cut off by recvmsg) but never less than version and command.
  return size >= static_cast<ssize_t>(2 * sizeof(uint32_t)) ? Received::kRequest
                                                            : Received::kClosed;
}

bool SendReply(int client, const Reply& reply) {
  return send(client, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL) ==
         static_cast<ssize_t>(sizeof(reply));
}

}  // namespace davit::conmon
