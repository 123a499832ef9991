// SPDX-License-Identifier: Apache-2.0
//
// Clients that are attached to the container: each has pipes of its own, which the daemon made.
// What the container writes goes to all, what a client writes goes to the container's input.
//
// Nothing is buffered here but a page of input: a client whose pipe is full holds up the stream
// that it owes, so the container waits for it, but not for ever: one that takes nothing for a while
// is detached. Input waits in the client's pipe while the container does not read.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "conmon/protocol.h"
#include "conmon/sys.h"
#include "conmon/text.h"

namespace davit::conmon {

inline constexpr size_t kMaxAttached = 8;
inline constexpr size_t kOutputs = 2;  // stdout, stderr

class Attach {
 public:
  // Events that Handle understands have tags from `first_tag` on, kTags of them.
  static constexpr uint64_t kTags = kMaxAttached * kMaxAttachStreams + 1;
  void Open(int epoll, uint64_t first_tag, bool close_input_once) {
    epoll_ = epoll;
    first_tag_ = first_tag;
    close_input_once_ = close_input_once;
  }
  // Where input goes; invalid if the container has none. Non-blocking.
  void SetInput(Fd input) { input_ = static_cast<Fd&&>(input); }

  // A client; takes the descriptors that `streams` names, in the order of protocol.h. Returns an
  // errno.
  int Add(uint32_t streams, Fd* fds);

  // `data` came from the container: as much as possible goes out at once. It has to stay where it
  // is until Owes(output) is false; until then the stream must not be read.
  void Send(size_t output, Text data);
  // Some client has not yet got all.
  [[nodiscard]] bool Owes(size_t output) const { return owed_[output].size > 0; }
  // The stream has ended, and nothing is owed.
  void EndOutput(size_t output);

  void Handle(uint64_t tag);
  // Detaches whoever has taken nothing of what is owed for so long.
  void DropStalled(int64_t limit_ms);

 private:
  struct Client {
    Fd in;
    Fd out[kOutputs];
    size_t sent[kOutputs] = {};  // of what is owed
    int64_t waits_since_ms = 0;
  };

  [[nodiscard]] uint64_t Tag(size_t client, size_t stream) const {
    return first_tag_ + client * kMaxAttachStreams + stream;
  }
  void Watch(int fd, uint64_t tag, uint32_t events) const;
  void Write(size_t client, size_t output);
  void Settle(size_t output);
  void CloseOutput(size_t client, size_t output);
  void ReadInput(size_t client);
  void EndInput(size_t client);
  void WriteInput();
  void CloseInput();
  void WatchClients(bool wanted);

  int epoll_ = -1;
  uint64_t first_tag_ = 0;
  bool close_input_once_ = false;
  Client clients_[kMaxAttached];
  Text owed_[kOutputs] = {"", ""};

  Fd input_;
  bool input_waits_ = false;  // for the container to read: no client is read from
  size_t held_ = 0;
  size_t written_ = 0;
  char buffer_[4096];
};

}  // namespace davit::conmon
