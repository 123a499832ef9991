// SPDX-License-Identifier: Apache-2.0
#include "conmon/oom.h"

#include <fcntl.h>

#include "conmon/text.h"

namespace davit::conmon {
namespace {

bool ReadKills(int fd, uint64_t* kills) {
  char buffer[512];
  const ssize_t size = fd >= 0 ? ReadAll(fd, buffer, sizeof(buffer)) : -1;
  return size > 0 && FindKeyed({buffer, static_cast<size_t>(size)}, "oom_kill", kills);
}

Fd OpenFile(const char* path) {
  return *path == '\0' ? Fd() : Fd(open(path, O_RDONLY | O_CLOEXEC));
}

}  // namespace

void OomCounter::Open(const char* own, const char* parent) {
  own_ = OpenFile(own);
  parent_ = OpenFile(parent);
  ReadKills(parent_.get(), &parent_seen_);
  Note();
}

// The parent first: a kill between the two readings must not be lost.
bool OomCounter::Note() {
  uint64_t parent = 0;
  const bool parent_is_there = ReadKills(parent_.get(), &parent);
  if (ReadKills(own_.get(), &own_kills_) && parent_is_there) {
    parent_seen_ = parent;
  }
  return parent_is_there;
}

uint64_t OomCounter::Kills() {
  uint64_t parent = 0;
  const bool parent_is_there = ReadKills(parent_.get(), &parent);
  if (ReadKills(own_.get(), &own_kills_) || !parent_is_there) {
    return own_kills_;
  }
  return own_kills_ + (parent > parent_seen_ ? parent - parent_seen_ : 0);
}

}  // namespace davit::conmon
