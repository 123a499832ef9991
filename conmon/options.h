// SPDX-License-Identifier: Apache-2.0
//
// The monitor's command line. Values are borrowed from argv.
#pragma once

#include <stdint.h>

#include "conmon/journal.h"

namespace davit::conmon {

struct Options {
  const char* id = nullptr;
  const char* run_dir = nullptr;       // absolute
  const char* bundle = nullptr;        // absolute
  const char* runtime = nullptr;       // absolute path of the OCI runtime
  const char* runtime_root = nullptr;  // its --root
  const char* log_path = "";           // "" drops the output
  const char* oom_file = "";           // memory.events or memory.oom_control of the container
  const char* oom_parent_file = "";    // memory.events of what the container's cgroup is in
  const char* journal_fields = "";     // lines of NAME=value; "": nothing goes to the journal
  const char* journal_socket = kJournalSocket;
  uint64_t max_line = 16384;
  uint64_t log_rate = 0;              // bytes a second; 0: no limit
  uint64_t max_log_size = 0;          // bytes of the file; 0: no limit
  uint64_t sync_fd = UINT64_MAX;      // where the start report goes
  uint64_t cpu = UINT64_MAX;          // --exec: where the process is to run; UINT64_MAX: anywhere
  uint64_t runtime_fd = UINT64_MAX;   // the runtime's program; UINT64_MAX: what is at `runtime`
  uint64_t mount_ns_fd = UINT64_MAX;  // the mount namespace that it runs in; UINT64_MAX: ours
  bool systemd_cgroup = false;        // the runtime's flag of that name
  bool tty = false;
  bool stdin_open = false;
  bool stdin_once = false;
  bool seccomp = false;  // --seccomp: notifications of forbidden system calls are answered
  bool exec = false;     // --exec: a process in a container that is there
};

// Null on success, else what is wrong.
const char* ParseOptions(int argc, char** argv, Options* options);

}  // namespace davit::conmon
