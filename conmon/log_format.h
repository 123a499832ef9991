// SPDX-License-Identifier: Apache-2.0
//
// The CRI log format: `2006-01-02T15:04:05.000000000Z stdout F text\n`. F is a full line, P one
// that is continued by the next entry of the stream. The contents of all entries of a stream, with
// a newline after each F, are the stream's bytes exactly. Pure functions of their input.
#pragma once

#include <stddef.h>
#include <time.h>

#include "conmon/text.h"

namespace davit::conmon {

// `<time> <stream> <F|P> `: what stands before the content of an entry.
class EntryHeader {
 public:
  EntryHeader(const timespec& time, Text stream, bool full);
  // The same time and stream.
  EntryHeader(const EntryHeader& other, bool full);
  [[nodiscard]] Text text() const { return text_.text(); }

 private:
  FixedText<64> text_;
};

struct Entry {
  Text content;  // without the newline
  bool full;     // a newline follows the content in the input
};

// Cuts the next entry from the front of `bytes`. False: what is left is the beginning of a line
// that may yet grow; to be held until more comes. No content is longer than `max_line`.
bool NextEntry(Text bytes, size_t max_line, Entry* entry);
// How many bytes of the input the entry covers.
inline size_t EntrySpan(const Entry& entry) {
  return entry.content.size + (entry.full ? 1 : 0);
}

}  // namespace davit::conmon
