// SPDX-License-Identifier: Apache-2.0
//
// Children of the daemon. Spawned with clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD), never fork() of
// the threaded daemon: cost does not grow with the daemon's memory. A child starts with an empty
// signal mask, default dispositions and no descriptor but those listed. Waited for by pidfd.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "base/cpus.h"
#include "base/fd.h"

namespace davit {

struct FdMapping {
  int parent_fd;
  int child_fd;
};

struct SpawnOptions {
  std::vector<std::string> argv = {};  // argv[0] is an absolute path
  std::vector<std::string> env = {};   // complete: nothing is inherited
  std::string cwd = "/";
  std::vector<FdMapping> fds = {};  // 0, 1, 2 not listed are /dev/null
  bool new_session = false;         // setsid
  std::string cgroup_procs = {};  // cgroup.procs files, one a line, to write itself to before exec
  CpuSet cpus = {};  // affinity, as far as the cpuset has them; empty, or none of them: as we are
  int mount_namespace = -1;  // to run in; `cwd` and argv[0] are looked up there
  int program = -1;          // executed in place of what is at argv[0]: an ELF file
};

struct ExitStatus {
  int code = 0;    // exit code, or 128 + signal
  int signal = 0;  // 0 if it exited by itself
};

// A child of this process. Movable. The destructor does not kill; an unwaited child must be given
// to somebody who waits (WaitPidfd) or zombies stay.
class Process {
 public:
  Process() = default;
  Process(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  UniqueFd TakePidfd() { return std::move(pidfd_); }

  absl::Status Kill(int signal) const;
  // Waits for the end within the context; on Cancelled or DeadlineExceeded the child still runs.
  absl::StatusOr<ExitStatus> Wait(Context& ctx) const;

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

// NotFound if argv[0] does not exist; the message names it.
absl::StatusOr<Process> Spawn(const SpawnOptions& options);

struct RunOptions {
  std::string_view input = {};    // written to stdin, then closed
  size_t max_output = 1U << 20U;  // each of stdout and stderr; the rest is drained
};

struct RunResult {
  ExitStatus exit;
  std::string out;
  std::string err;
  bool truncated = false;
};

// Spawns, feeds stdin, collects stdout and stderr, waits. When the context ends first the child is
// killed (SIGKILL, its whole session if new_session), reaped, and the context's error returned.
absl::StatusOr<RunResult> Run(Context& ctx, const SpawnOptions& options,
                              const RunOptions& run = {});

// PATH, HOME and LANG for children that need no more.
std::vector<std::string> MinimalEnv();

// Absolute path of a program: as given if it holds a slash, else the first hit in PATH and the
// system's sbin directories. NotFound names what was looked for.
absl::StatusOr<std::string> FindProgram(const std::string& name);

// pidfd_open(2) close-on-exec.
absl::StatusOr<UniqueFd> OpenPidfd(pid_t pid);

}  // namespace davit
