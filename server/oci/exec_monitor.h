// SPDX-License-Identifier: Apache-2.0
//
// A process in a container that somebody talks with: `exec --detach` of the OCI runtime through a
// davit-conmon of its own (conmon/protocol.h, "Exec"), so that neither the runtime nor a thread
// stays while it runs. ExecSync, which only listens and is over soon, is Runtime::Exec.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "base/fd.h"
#include "base/subprocess.h"
#include "server/oci/runtime.h"

namespace davit::server::oci {

struct ExecStreams {
  bool in = false;
  bool out = false;
  bool err = false;
  bool tty = false;  // in and out are the terminal, err is not used
};

struct ExecStart {
  std::string monitor_path;
  std::string process_json;  // an OCI process object; its `terminal` agrees with streams.tty
  ExecStreams streams;
  std::optional<int> cpu = {};  // as ExecOptions::cpu
};

// A process that runs. Its end is waited for through exit_fd, or a zombie stays.
class RunningExec {
 public:
  RunningExec(Process monitor, UniqueFd report)
      : monitor_(std::move(monitor)), report_(std::move(report)) {}

  // Our ends of pipes, or duplicates of the terminal; those that were asked for.
  UniqueFd in;
  UniqueFd out;
  UniqueFd err;
  UniqueFd terminal;  // one more, for its size

  [[nodiscard]] pid_t monitor_pid() const { return monitor_.pid(); }
  // Readable when the process has ended and its monitor, too.
  [[nodiscard]] int exit_fd() const { return monitor_.pidfd(); }
  // Then: the exit code, 128 + N for a signal; collects the monitor. Nothing: it runs. Internal if
  // the monitor was killed.
  absl::StatusOr<std::optional<int>> ReadExit();

 private:
  Process monitor_;
  UniqueFd report_;
};

// Returns when the process runs. On failure nothing of it stays, and the error carries the OCI
// runtime's message. `scratch_dir` belongs to the container; nothing stays in it either.
absl::StatusOr<std::unique_ptr<RunningExec>> StartExec(Context& ctx, const Runtime& runtime,
                                                       const std::string& id,
                                                       const std::string& scratch_dir,
                                                       const ExecStart& start);

}  // namespace davit::server::oci
