// SPDX-License-Identifier: Apache-2.0
//
// How often the kernel killed in the container for want of memory: `oom_kill` of memory.events (v2)
// or memory.oom_control (v1).
//
// systemd removes a scope as soon as its last process has ended, mostly before the monitor hears of
// that end: the container's own file is gone then. Its parent's counts for all below it, and stays.
// Whatever is counted there while the own file can still be read is known to be the container's or
// another's; what is counted between that and the end is taken for the container's.
#pragma once

#include <stdint.h>

#include "conmon/sys.h"

namespace davit::conmon {

class OomCounter {
 public:
  // `parent` may be "": then only the own file counts.
  void Open(const char* own, const char* parent);
  // Of the parent's file, for EPOLLPRI: Note is to be called then. Invalid without a parent.
  [[nodiscard]] int fd() const { return parent_.get(); }
  // False if there is nothing more to hear.
  bool Note();
  // At the end.
  uint64_t Kills();

 private:
  Fd own_;
  Fd parent_;
  uint64_t own_kills_ = 0;
  uint64_t parent_seen_ = 0;
};

}  // namespace davit::conmon
