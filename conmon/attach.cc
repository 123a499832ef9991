// SPDX-License-Identifier: Apache-2.0
#include "conmon/attach.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

namespace davit::conmon {
namespace {

constexpr uint32_t kStreamBits[] = {kAttachInput, kAttachOutput, kAttachErrors};

}  // namespace

void Attach::Watch(int fd, uint64_t tag, uint32_t events) const {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = tag;
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) != 0) {
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }
}

int Attach::Add(uint32_t streams, Fd* fds) {
  size_t index = 0;
  const auto used = [](const Client& client) {
    return client.in.valid() || client.out[0].valid() || client.out[1].valid();
  };
  while (index < kMaxAttached && used(clients_[index])) {
    ++index;
  }
  if (index == kMaxAttached) {
    return EBUSY;
  }
  Fd taken[kMaxAttachStreams];
  size_t next = 0;
  for (size_t stream = 0; stream < kMaxAttachStreams; ++stream) {
    if ((streams & kStreamBits[stream]) == 0) {
      continue;
    }
    if (!fds[next].valid() || !SetNonBlocking(fds[next].get())) {
      return EINVAL;
    }
    taken[stream] = static_cast<Fd&&>(fds[next++]);
  }
  Client& client = clients_[index];
  client.in = static_cast<Fd&&>(taken[0]);
  for (size_t output = 0; output < kOutputs; ++output) {
    client.out[output] = static_cast<Fd&&>(taken[1 + output]);
    client.sent[output] = owed_[output].size;  // what is on its way to others is not for this one
    if (client.out[output].valid()) {
      Watch(client.out[output].get(), Tag(index, 1 + output), 0);  // errors only: it is gone
    }
  }
  if (client.in.valid() && !input_.valid()) {
    client.in.Reset();
  } else if (client.in.valid() && !input_waits_) {
    Watch(client.in.get(), Tag(index, 0), EPOLLIN);
  }
  return 0;
}

void Attach::Send(size_t output, Text data) {
  owed_[output] = data;
  for (size_t i = 0; i < kMaxAttached; ++i) {
    clients_[i].sent[output] = 0;
    Write(i, output);
  }
  Settle(output);
}

void Attach::Write(size_t index, size_t output) {
  Client& client = clients_[index];
  const Fd& fd = client.out[output];
  const Text owed = owed_[output];
  bool wrote = false;
  while (fd.valid() && client.sent[output] < owed.size) {
    const ssize_t count =
        write(fd.get(), owed.data + client.sent[output], owed.size - client.sent[output]);
    if (count < 0 && errno == EAGAIN) {
      if (wrote || client.sent[output] == 0) {
        client.waits_since_ms = MonotonicMs();
      }
      Watch(fd.get(), Tag(index, 1 + output), EPOLLOUT);
      return;
    }
    if (count < 0) {
      CloseOutput(index, output);
      return;
    }
    client.sent[output] += static_cast<size_t>(count);
    wrote = true;
  }
}

// Nothing is owed when every client has got all.
void Attach::Settle(size_t output) {
  for (const Client& client : clients_) {
    if (client.out[output].valid() && client.sent[output] < owed_[output].size) {
      return;
    }
  }
  owed_[output] = "";
}

void Attach::CloseOutput(size_t index, size_t output) {
  clients_[index].out[output].Reset();
}

void Attach::EndOutput(size_t output) {
  for (size_t i = 0; i < kMaxAttached; ++i) {
    CloseOutput(i, output);
  }
}

void Attach::DropStalled(int64_t limit_ms) {
  const int64_t now = MonotonicMs();
  for (size_t output = 0; output < kOutputs; ++output) {
    for (size_t i = 0; Owes(output) && i < kMaxAttached; ++i) {
      const Client& client = clients_[i];
      if (client.out[output].valid() && client.sent[output] < owed_[output].size &&
          now - client.waits_since_ms >= limit_ms) {
        CloseOutput(i, output);
      }
    }
    Settle(output);
  }
}

void Attach::Handle(uint64_t tag) {
  const uint64_t index = tag - first_tag_;
  if (index == kTags - 1) {
    WriteInput();
    return;
  }
  const size_t client = index / kMaxAttachStreams;
  const size_t stream = index % kMaxAttachStreams;
  if (stream == 0) {
    ReadInput(client);
    return;
  }
  const size_t output = stream - 1;
  if (!clients_[client].out[output].valid()) {
    return;
  }
  if (clients_[client].sent[output] >= owed_[output].size) {
    CloseOutput(client, output);  // an error is all that was waited for
    return;
  }
  Write(client, output);
  if (clients_[client].out[output].valid() && clients_[client].sent[output] == owed_[output].size) {
    Watch(clients_[client].out[output].get(), tag, 0);
  }
  Settle(output);
}

void Attach::ReadInput(size_t index) {
  const Fd& in = clients_[index].in;
  if (!in.valid() || input_waits_) {
    return;
  }
  const ssize_t count = read(in.get(), buffer_, sizeof(buffer_));
  if (count < 0 && errno == EAGAIN) {
    return;
  }
  if (count <= 0) {
    EndInput(index);
    return;
  }
  held_ = static_cast<size_t>(count);
  written_ = 0;
  WriteInput();
}

void Attach::EndInput(size_t index) {
  clients_[index].in.Reset();
  if (close_input_once_) {
    CloseInput();
  }
}

void Attach::WriteInput() {
  while (written_ < held_) {
    const ssize_t count = write(input_.get(), buffer_ + written_, held_ - written_);
    if (count < 0 && errno == EAGAIN) {
      if (!input_waits_) {
        WatchClients(false);
        Watch(input_.get(), first_tag_ + kTags - 1, EPOLLOUT);
      }
      return;
    }
    if (count < 0) {  // the container has closed its input
      CloseInput();
      return;
    }
    written_ += static_cast<size_t>(count);
  }
  if (input_waits_) {
    epoll_ctl(epoll_, EPOLL_CTL_DEL, input_.get(), nullptr);
    WatchClients(true);
  }
}

// Not just without interest: the end of a pipe is reported to whoever watches it at all.
void Attach::WatchClients(bool wanted) {
  input_waits_ = !wanted;
  for (size_t i = 0; i < kMaxAttached; ++i) {
    if (!clients_[i].in.valid()) {
      continue;
    }
    if (wanted) {
      Watch(clients_[i].in.get(), Tag(i, 0), EPOLLIN);
    } else {
      epoll_ctl(epoll_, EPOLL_CTL_DEL, clients_[i].in.get(), nullptr);
    }
  }
}

void Attach::CloseInput() {
  held_ = 0;
  written_ = 0;
  input_waits_ = false;
  input_.Reset();
  for (Client& client : clients_) {
    client.in.Reset();
  }
}

}  // namespace davit::conmon
