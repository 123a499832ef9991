// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "conmon/attach.h"
#include "conmon/control.h"
#include "conmon/fuzz_bytes.h"

namespace {

using davit::conmon::Attach;
using davit::conmon::Fd;
using davit::conmon::FuzzBytes;
using davit::conmon::kMaxAttachStreams;
using davit::conmon::kOutputs;
using davit::conmon::Received;
using davit::conmon::Request;

void MakePipe(Fd& reader, Fd& writer) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    std::abort();
  }
  reader.Reset(ends[0]);
  writer.Reset(ends[1]);
}

// A monitor's side with a container's input, and whatever clients leave of theirs.
struct Monitor {
  Monitor() : epoll(epoll_create1(EPOLL_CLOEXEC)) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
      std::abort();
    }
    socket.Reset(ends[0]);
    client.Reset(ends[1]);
    Fd writer;
    MakePipe(container_input, writer);
    attach.Open(epoll.get(), 0, true);
    attach.SetInput(static_cast<Fd&&>(writer));
  }

  // A packet of any bytes with so many descriptors, which may be of the wrong kind.
  void SendPacket(const std::string& packet, size_t count, bool swapped) {
    std::vector<int> sent;
    Fd theirs[4];
    for (size_t i = 0; i < count; ++i) {
      Fd reader;
      Fd writer;
      MakePipe(reader, writer);
      const bool reads = (i == 0) != swapped;
      theirs[i] = static_cast<Fd&&>(reads ? reader : writer);
      kept.push_back(static_cast<Fd&&>(reads ? writer : reader));
      sent.push_back(theirs[i].get());
    }
    iovec part = {const_cast<char*>(packet.data()), packet.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (count > 0) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(count * sizeof(int));
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(count * sizeof(int));
      std::memcpy(CMSG_DATA(header), sent.data(), count * sizeof(int));
    }
    sendmsg(client.get(), &message, MSG_NOSIGNAL);
    Request request = {};
    Fd fds[kMaxAttachStreams];
    if (davit::conmon::ReceiveRequest(socket.get(), &request, fds) == Received::kRequest) {
      attach.Add(request.streams, fds);
    }
  }

  void Poll() {
    epoll_event events[8];
    const int count = epoll_wait(epoll.get(), events, 8, 0);
    for (int i = 0; i < count; ++i) {
      attach.Handle(events[i].data.u64);
    }
  }

  Fd epoll;
  Fd socket;
  Fd client;
  Fd container_input;
  Attach attach;
  std::vector<Fd> kept;
};

}  // namespace

// The input is a sequence of what clients and the container do.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  signal(SIGPIPE, SIG_IGN);  // the monitor blocks all signals
  Monitor monitor;
  FuzzBytes bytes(data, size);
  char drained[4096];
  while (!bytes.empty()) {
    const uint8_t what = bytes.Next();
    switch (what % 6) {
      case 0:
        monitor.SendPacket(bytes.Some(bytes.Next() % 64), what / 6 % 5, what >= 128);
        break;
      case 1: {  // the container writes, and waits until all have it or were given up
        const std::string text = bytes.Some(bytes.Next());
        const size_t output = what / 6 % kOutputs;
        monitor.attach.Send(output, {text.data(), text.size()});
        monitor.Poll();
        monitor.attach.DropStalled(0);
        if (monitor.attach.Owes(output)) {
          std::abort();
        }
        break;
      }
      case 2:  // clients write, or read: what fits whichever
        for (const Fd& fd : monitor.kept) {
          const std::string text = bytes.Some(what / 6);
          if (write(fd.get(), text.data(), text.size()) < 0) {
            (void)!read(fd.get(), drained, sizeof(drained));
          }
        }
        break;
      case 3:  // one goes away
        if (!monitor.kept.empty()) {
          monitor.kept.erase(monitor.kept.begin() +
                             static_cast<ptrdiff_t>(bytes.Next() % monitor.kept.size()));
        }
        break;
      case 4:
        (void)!read(monitor.container_input.get(), drained, sizeof(drained));
        monitor.Poll();
        break;
      default:
        if (what % 12 == 5) {
          monitor.attach.EndOutput(what / 12 % kOutputs);
        }
        monitor.Poll();
    }
  }
  return 0;
}
