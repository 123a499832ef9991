// SPDX-License-Identifier: Apache-2.0
#include "conmon/batch.h"

#include "conmon/sys.h"

namespace davit::conmon {

Batch::Batch(Log& log, Text stream)
    : log_(log),
      is_stderr_(Equal(stream, "stderr")),
      full_(WallClock(), stream, true),
      partial_(full_, false) {}

void Batch::Add(const Entry& entry) {
  Part(entry.full ? full_.text() : partial_.text());
  Part({entry.content.data, EntrySpan(entry)});
  if (!entry.full) {
    Part("\n");
  }
  log_.journal.Send(is_stderr_, entry);
  if (count_ > kMaxParts - kPartsPerEntry) {
    Write();
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
  if (count_ > 0) {
    log_.file.Append(parts_, count_);
    log_.Flushed();
  }
  count_ = 0;
}

}  // namespace davit::conmon
