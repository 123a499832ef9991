// SPDX-License-Identifier: Apache-2.0
//
// What the daemon and davit-conmon say to each other: file names in a container's run directory,
// the start report, the control socket. Plain data only. A monitor outlives the daemon that started
// it, so both sides meet other versions: `version` stays the first field of every message, a field
// is never reused, and a monitor that does not know a version answers EPROTO with its own.
//
// Files in the run directory (which belongs to one container and to nobody else):
//   pid          decimal, written by the OCI runtime
//   runtime.log  the OCI runtime's JSON log of the start; removed when the start succeeded
//   ctl          SOCK_SEQPACKET, one Request for one Reply; there as long as the monitor lives
//   exit         written by rename when everything else is done; lines of `key value`:
//                version, code, signal, oom_kills, finished_ns, dropped_lines, dropped_bytes,
//                journal_lost
//   seccomp      with --seccomp: see SeccompHeader
//   sc           with --seccomp: where OCI runtimes send the descriptors of seccomp filters, as the
//                runtime specification says of linux.seccomp.listenerPath; there until the end. Its
//                name is short because a socket's path must be (unix(7): 108 bytes)
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace davit::conmon {

inline constexpr uint32_t kProtocolVersion = 1;

inline constexpr char kPidFile[] = "pid";
inline constexpr char kExitFile[] = "exit";
inline constexpr char kRuntimeLog[] = "runtime.log";
inline constexpr char kControlSocket[] = "ctl";
inline constexpr char kSeccompFile[] = "seccomp";
inline constexpr char kSeccompSocket[] = "sc";

// The longest content of one log entry that --max-line may ask for.
inline constexpr uint64_t kMaxLineLimit = 1U << 20U;

// Start report: one write on the pipe given by --sync-fd.
enum class StartOutcome : uint32_t {
  kRunning = 0,
  kMonitorFailed = 1,  // before the OCI runtime was called
  kRuntimeFailed = 2,  // see runtime.log; `message` is what it said on stderr
};

struct StartReport {
  uint32_t version;
  StartOutcome outcome;
  int32_t container_pid;
  int32_t runtime_status;         // as wait(2) gives it
  uint64_t container_start_time;  // field 22 of /proc/PID/stat
  uint32_t message_size;          // bytes that follow
  uint32_t reserved;
};
inline constexpr uint32_t kMaxStartMessage = 2048;  // report and message fit one PIPE_BUF

// Control socket.
enum class Command : uint32_t {
  kState = 1,
  kReopenLog = 2,  // answered when the new file is open
  kResize = 3,     // rows, columns; EINVAL without a terminal
  // Comes with the client's ends as SCM_RIGHTS, in this order, those that `streams` names: a pipe
  // to read the container's input from, pipes to write stdout and stderr to (stdout only, with a
  // terminal). From the reply on they are the monitor's. A client detaches by closing its ends;
  // they are closed here when the container's end. EBUSY: too many clients.
  kAttach = 4,
};

// Request::streams
inline constexpr uint32_t kAttachInput = 1;
inline constexpr uint32_t kAttachOutput = 2;
inline constexpr uint32_t kAttachErrors = 4;
inline constexpr size_t kMaxAttachStreams = 3;

struct Request {
  uint32_t version;
  Command command;
  uint32_t rows;
  uint32_t columns;
  uint32_t streams;  // kAttach; not sent by the first daemons
};

enum class Phase : uint32_t { kStarting = 0, kRunning = 1, kExited = 2 };

struct Reply {
  uint32_t version;
  int32_t error;  // an errno; 0 is success
  Phase phase;
  int32_t container_pid;
  uint64_t container_start_time;
  uint64_t dropped_lines;  // lines that are not in the log: over a limit, or not written
  uint64_t dropped_bytes;
};

// Seccomp:
// The file `seccomp` is written by the daemon before the start: a header, then `calls` entries. The
// monitor maps it, answers each notification with the error of its entry, and counts it there; so
// what was counted is there whoever lives. The answers do not depend on the daemon.
struct SeccompHeader {
  uint32_t version;  // kSeccompVersion
  uint32_t calls;
  uint32_t other_error;  // the errno for calls without an entry
  uint32_t reserved;
  uint64_t others;  // how many of those there were
  // When the last one was counted, ns since the epoch; 0: none. Written by write(2), a while after
  // the counting at most: who watches the file hears of that.
  uint64_t last_ns;
};
struct SeccompCall {
  uint32_t arch;    // AUDIT_ARCH_*
  uint32_t number;  // as the kernel has it, with the bit that marks x32
  uint32_t error;
  uint32_t reserved;
  uint64_t count;
};
inline constexpr uint32_t kSeccompVersion = 1;
inline constexpr uint32_t kMaxSeccompCalls = 8192;

// Exec:
// `davit-conmon --exec` calls the OCI runtime's `exec --detach` in its run directory, which belongs
// to one exec, and collects the process: the runtime itself is gone while the process runs. stdin,
// stdout and stderr are the process's (without a terminal). --sync-fd is a SOCK_SEQPACKET socket:
// first a StartReport with its message (of a process that runs: a remark for the log), with a
// terminal that carries it as SCM_RIGHTS; then, when the process has ended, an ExitReport.
struct ExitReport {
  uint32_t version;
  int32_t status;  // as wait(2) gives it
};
inline constexpr char kExecProcessFile[] = "process.json";

// Infra:
// `davit-conmon --infra` writes this on stdout; then, if a step fails, text. End of file without
// text means that the infra process is ready. stdin is a stream socket: the process stays if it
// gets one byte, and ends if that ends without. The command itself ends when stdin's other side is
// closed.
struct InfraReport {
  uint32_t version;
  int32_t pid;
};

}  // namespace davit::conmon
