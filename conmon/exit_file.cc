// SPDX-License-Identifier: Apache-2.0
#include "conmon/exit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>

#include "conmon/protocol.h"
#include "conmon/sys.h"
#include "conmon/text.h"

namespace davit::conmon {

int WriteExitFile(const ExitRecord& record) {
  const int signal = WIFSIGNALED(record.status) ? WTERMSIG(record.status) : 0;
  const int code = signal != 0 ? 128 + signal : WEXITSTATUS(record.status);
  FixedText<400> text;
  text << "version " << uint64_t{kProtocolVersion} << "\ncode " << static_cast<uint64_t>(code)
       << "\nsignal " << static_cast<uint64_t>(signal) << "\noom_kills " << record.oom_kills
       << "\nfinished_ns " << record.finished_ns << "\ndropped_lines " << record.dropped_lines
       << "\ndropped_bytes " << record.dropped_bytes << "\njournal_lost " << record.journal_lost
       << "\n";
  constexpr char kTemporary[] = "exit.tmp";
  Fd file(open(kTemporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid() || !WriteAll(file.get(), text.text())) {
    return errno;
  }
  return rename(kTemporary, kExitFile) == 0 ? 0 : errno;
}

}  // namespace davit::conmon
