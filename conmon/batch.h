// SPDX-License-Identifier: Apache-2.0
//
// Collects the entries of one read and writes them with few calls. All of them carry one time.
//
// Short entries are put together in scratch memory: the kernel takes longer over each part of a
// writev than it takes to copy a line. Long ones are written from where they are.
#pragma once

#include <stddef.h>
#include <sys/uio.h>

#include "conmon/log.h"
#include "conmon/log_format.h"
#include "conmon/text.h"

namespace davit::conmon {

class Batch {
 public:
  static constexpr size_t kScratch = size_t{32} << 10U;

  // `scratch`: kScratch bytes, not in use by anybody else meanwhile.
  Batch(Log& log, Text stream, char* scratch);
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
  static constexpr size_t kMaxCopied = 1024;  // an entry that is copied, with its header
  static constexpr size_t kPartsPerEntry = 3;
  static constexpr size_t kMaxParts = 64;  // for one writev: the array is on the stack

  void Part(Text text) { parts_[count_++] = {const_cast<char*>(text.data), text.size}; }
  void Copy(Text header, Text content, bool newline);
  void EndCopied();

  Log& log_;
  const bool is_stderr_;
  const EntryHeader full_;
  const EntryHeader partial_;
  char* const scratch_;
  size_t copied_ = 0;   // bytes in `scratch_`
  size_t in_part_ = 0;  // of those, in a part
  iovec parts_[kMaxParts];
  size_t count_ = 0;
};

}  // namespace davit::conmon
