// SPDX-License-Identifier: Apache-2.0
#include "conmon/batch.h"

#include "conmon/sys.h"

namespace davit::conmon {

namespace {

// memcpy of musl, made for long copies, takes as long to begin as this takes for a line.
char* Append(char* out, Text text) {
  const char* in = text.data;
  const char* const end = in + text.size;
  for (; end - in >= 8; in += 8, out += 8) {
    __builtin_memcpy(out, in, 8);
  }
  while (in != end) {
    *out++ = *in++;
  }
  return out;
}

}  // namespace

Batch::Batch(Log& log, Text stream, char* scratch)
    : log_(log),
      is_stderr_(Equal(stream, "stderr")),
      full_(WallClock(), stream, true),
      partial_(full_, false),
      scratch_(scratch) {}

void Batch::Add(const Entry& entry) {
  const Text header = entry.full ? full_.text() : partial_.text();
  const Text content = {entry.content.data, EntrySpan(entry)};
  if (header.size + content.size < kMaxCopied) {
    Copy(header, content, !entry.full);
  } else {
    EndCopied();
    Part(header);
    Part(content);
    if (!entry.full) {
      Part("\n");
    }
  }
  log_.journal.Send(is_stderr_, entry);
  if (count_ + kPartsPerEntry >= kMaxParts || copied_ + kMaxCopied > kScratch) {
    Write();
  }
}

void Batch::Copy(Text header, Text content, bool newline) {
  char* out = Append(scratch_ + copied_, header);
  out = Append(out, content);
  if (newline) {
    *out++ = '\n';
  }
  copied_ = static_cast<size_t>(out - scratch_);
}

// What was copied since the last part is the next part.
void Batch::EndCopied() {
  if (copied_ > in_part_) {
    Part({scratch_ + in_part_, copied_ - in_part_});
    in_part_ = copied_;
  }
}

void Batch::AddNote(Text content) {
  Write();
  Part(full_.text());
  Part(content);
  Part("\n");
  Write();
  log_.journal.Send(is_stderr_, {content, true});
}

void Batch::Write() {
  EndCopied();
  if (count_ > 0) {
    log_.file.Append(parts_, count_);
    log_.Flushed();
  }
  count_ = 0;
  copied_ = 0;
  in_part_ = 0;
}

}  // namespace davit::conmon
