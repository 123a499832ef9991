// SPDX-License-Identifier: Apache-2.0
//
// Collects the entries of one read and writes them with few calls. All of them carry one time.
#pragma once

#include <stddef.h>
#include <sys/uio.h>

#include "conmon/log.h"
#include "conmon/log_format.h"
#include "conmon/text.h"

namespace davit::conmon {

class Batch {
 public:
  Batch(Log& log, Text stream);
  ~Batch() { Write(); }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  // An entry of the input: a full one's newline stands behind its content. Borrowed until Write.
  void Add(const Entry& entry);
  // A full entry of the monitor's own; written at once.
  void AddNote(Text content);
  void Write();

  // What an entry takes in the file.
  [[nodiscard]] size_t SizeOf(const Entry& entry) const {
    return full_.text().size + entry.content.size + 1;
  }

 private:
  static constexpr size_t kPartsPerEntry = 3;
  static constexpr size_t kMaxParts = 256;  // for one writev: the array is on the stack

  void Part(Text text) { parts_[count_++] = {const_cast<char*>(text.data), text.size}; }

  Log& log_;
  const bool is_stderr_;
  const EntryHeader full_;
  const EntryHeader partial_;
  iovec parts_[kMaxParts];
  size_t count_ = 0;
};

}  // namespace davit::conmon
