// SPDX-License-Identifier: Apache-2.0
//
// Answers the notifications of the container's seccomp filters (seccomp_unotify(2), Linux 5.0; with
// 5.8 it also hears when a filter has no process any more): each call fails with the error that the
// daemon has written down for it, and is counted (protocol.h). Filters come over a socket, the
// container's own at its start, one more for each process that is executed in it.
//
// A container that calls forbidden things in a loop must not keep a CPU of the node busy here: over
// so many answers a second it waits for the next second. Nothing here blocks.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "conmon/protocol.h"
#include "conmon/sys.h"

namespace davit::conmon {

class Seccomp {
 public:
  // Maps the file and listens, in the current directory. Events that Handle understands have tags
  // from `first_tag` on. Returns an errno.
  int Open(int epoll, uint64_t first_tag);
  void Handle(uint64_t tag);
  // Milliseconds until Tick has something to do; -1: nothing.
  [[nodiscard]] int Timeout() const;
  void Tick();
  // The last word; no notification is answered any more.
  void Close();

 private:
  static constexpr size_t kMaxSenders = 4;
  static constexpr size_t kMaxFilters = 256;

  // In pages of its own, so that monitors of other containers do not pay for it.
  struct State {
    int filters[kMaxFilters];
    int64_t window_ms;  // when the second began in which `answers` are counted
    int64_t told_ms;    // when the file was last written to
    uint64_t last_ns;   // of the last notification
    uint32_t answers;
    bool resting;  // no filter is listened to until the second is over
    bool owes;     // something was counted that was not told
  };

  int Map();
  int Listen();
  void Accept();
  void Receive(size_t sender);
  void Add(Fd filter);
  void Drop(size_t filter);
  void OnFilter(size_t filter);
  void Answer(int fd);
  uint32_t Count(uint32_t arch, uint32_t number);
  void Rest(bool resting);
  void Tell();
  bool Watch(int fd, uint64_t tag, int operation, uint32_t events) const;

  int epoll_ = -1;
  uint64_t first_tag_ = 0;
  Fd listener_;
  Fd senders_[kMaxSenders];
  Fd file_;
  SeccompHeader* header_ = nullptr;
  size_t mapped_ = 0;
  State* state_ = nullptr;
};

}  // namespace davit::conmon
