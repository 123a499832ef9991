// SPDX-License-Identifier: Apache-2.0
//
// Log entries for the systemd journal, one datagram each, in its native protocol
// (systemd.io/JOURNAL_NATIVE_PROTOCOL). Never waits: what the journal does not take at once is lost
// and counted, since the container must not stand still for it.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "conmon/log_format.h"
#include "conmon/sys.h"
#include "conmon/text.h"

namespace davit::conmon {

inline constexpr char kJournalSocket[] = "/run/systemd/journal/socket";

class Journal {
 public:
  // `fields`: lines of NAME=value that go with every entry, borrowed; "" for no journal. Returns an
  // errno. That nobody listens at the socket is no error: he may come later.
  int Open(Text fields, Text socket_path);
  [[nodiscard]] bool open() const { return socket_.valid(); }

  void Send(bool is_stderr, const Entry& entry);
  [[nodiscard]] uint64_t lost() const { return lost_; }

 private:
  Text fields_ = "";
  Fd socket_;
  sockaddr_un address_ = {};
  uint64_t lost_ = 0;
};

}  // namespace davit::conmon
