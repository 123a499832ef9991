// SPDX-License-Identifier: Apache-2.0
#include "conmon/journal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace davit::conmon {
namespace {

// As journald's own capture of a service's output has it: LOG_INFO, LOG_ERR.
constexpr Text kStdoutPriority = "PRIORITY=6\n";
constexpr Text kStderrPriority = "PRIORITY=3\n";
constexpr Text kPartial = "CONTAINER_PARTIAL_MESSAGE=true\n";

iovec Part(Text text) {
  return {const_cast<char*>(text.data), text.size};
}

}  // namespace

int Journal::Open(Text fields, Text socket_path) {
  if (fields.size == 0) {
    return 0;
  }
  if (socket_path.size >= sizeof(address_.sun_path)) {
    return ENAMETOOLONG;
  }
  address_.sun_family = AF_UNIX;
  memcpy(address_.sun_path, socket_path.data, socket_path.size);
  fields_ = fields;
  socket_.Reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_.valid()) {
    return errno;
  }
  const int size = 2 << 20;  // room for the longest entry; the kernel gives what it allows
  setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
  return 0;
}

void Journal::Send(bool is_stderr, const Entry& entry) {
  if (!open()) {
    return;
  }
  // The form with a length: a message may hold anything.
  const uint64_t length = entry.content.size;  // little-endian, as are the machines we build for
  iovec parts[] = {
      Part(fields_),
      Part(is_stderr ? kStderrPriority : kStdoutPriority),
      Part("MESSAGE\n"),
      Part({reinterpret_cast<const char*>(&length), sizeof(length)}),
      Part(entry.content),
      Part("\n"),
      Part(entry.full ? Text("") : kPartial),
  };
  msghdr message = {};
  message.msg_name = &address_;
  message.msg_namelen = sizeof(address_);
  message.msg_iov = parts;
  message.msg_iovlen = sizeof(parts) / sizeof(parts[0]);
  if (sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    ++lost_;
  }
}

}  // namespace davit::conmon
