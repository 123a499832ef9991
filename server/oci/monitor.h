// SPDX-License-Identifier: Apache-2.0
//
// The daemon's side of davit-conmon: starts a monitor (which makes the one OCI runtime call that
// creates and starts the container), finds it again after a restart of the daemon, reads what it
// left behind. One monitor for each container; it outlives the daemon.
//
// Files in the container's run directory: bundle/config.json, pid, exit, ctl (a Unix socket).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "base/fd.h"
#include "base/helper_program.h"

namespace davit::server::oci {

inline constexpr HelperProgram kMonitorProgram = {
    .name = "davit-conmon", .folder = "conmon", .key = "runtime.monitor_path"};

struct MonitorOptions {
  std::string monitor_path;
  std::string container_id;
  std::string run_dir;  // <run>/containers/<id>; holds pid, exit, ctl
  std::string bundle;   // directory with config.json
  std::string runtime_path;
  std::string runtime_root;
  std::shared_ptr<const UniqueFd>
      runtime_program;      // executed in place of runtime_path; may be null
  int runtime_mounts = -1;  // the mount namespace that the runtime runs in; -1: ours
  std::string log_path;     // "" : output is dropped
  int64_t max_log_line_bytes = 16384;
  uint64_t log_rate = 0;       // bytes a second; 0: no limit
  uint64_t max_log_size = 0;   // bytes of the file between rotations; 0: no limit
  std::string journal_fields;  // lines of NAME=value; "": nothing goes to the journal
  bool tty = false;
  bool stdin_open = false;
  bool stdin_once = false;
  bool systemd_cgroup = false;    // the runtime makes the container's cgroup by systemd
  bool seccomp = false;           // run_dir holds the file that conmon/protocol.h names
  std::string cgroup_mode;        // "v1" "hybrid" "v2": where OOM kills are counted
  std::string memory_parent_dir;  // where they are counted with what is beside it (v2); "": nowhere
  std::string memory_cgroup_dir;  // host directory with memory.events or memory.oom_control
};

struct MonitorHandle {
  pid_t monitor_pid = 0;
  uint64_t monitor_start_time = 0;
  UniqueFd monitor_pidfd;  // readable when the monitor has ended: the exit file is complete
  pid_t container_pid = 0;
  uint64_t container_start_time = 0;
};

struct ExitInfo {
  int exit_code = 0;  // 128 + signal for a signal
  int signal = 0;
  bool oom_killed = false;
  int64_t finished_at_ns = 0;
};

// Runs the container. On failure nothing runs and the error carries the OCI runtime's message (a
// missing command reads `… executable file not found in $PATH`). FailedPrecondition if monitor or
// runtime are missing.
absl::StatusOr<MonitorHandle> StartMonitor(Context& ctx, const MonitorOptions& options);

// The living monitor of a run directory, through its control socket's peer credentials; NotFound if
// there is none (never started, ended, killed).
absl::StatusOr<MonitorHandle> FindMonitor(const std::string& run_dir);

// What the monitor wrote last; nothing if the file is not there.
absl::StatusOr<std::optional<ExitInfo>> ReadExit(const std::string& run_dir);

// For the watcher of MonitorHandle::monitor_pidfd, once that is readable: collects the exit status
// of a monitor that is a child of this process, so that no zombie stays. Anything else is left
// alone.
void ReapMonitor(int monitor_pidfd);

// Closes and opens the log file anew; returns when it is done. NotFound if no monitor lives.
absl::Status ReopenLog(Context& ctx, const std::string& run_dir);

struct AttachStreams {
  bool in = false;
  bool out = false;
  bool err = false;
};

// Our ends of the pipes that join a client to the container: closing them detaches it. A container
// without an input closes `in` at once; outputs end with the container.
struct Attachment {
  UniqueFd in;
  UniqueFd out;
  UniqueFd err;
};

// NotFound if no monitor lives, ResourceExhausted if too many clients are attached, Unimplemented
// for a monitor of an earlier version.
absl::StatusOr<Attachment> AttachContainer(Context& ctx, const std::string& run_dir,
                                           const AttachStreams& streams);

// Tells the monitor the size of the container's terminal. Never waits, not even for an answer.
absl::Status ResizeTerminal(const std::string& run_dir, uint16_t rows, uint16_t columns);

}  // namespace davit::server::oci
