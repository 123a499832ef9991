// SPDX-License-Identifier: Apache-2.0
//
// Starting a monitor; the rest of its life is in monitor_control.cc.
#include "server/oci/monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/pipe.h"
#include "base/poll.h"
#include "base/proc.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "conmon/protocol.h"
#include "server/oci/process_tree.h"
#include "server/oci/runtime.h"
#include "server/oci/runtime_error.h"

namespace davit::server::oci {
namespace {

constexpr int kSyncFd = 3;
constexpr std::chrono::seconds kCleanupTime{10};
constexpr size_t kMaxRuntimeLog = 1U << 20U;

struct StartResult {
  conmon::StartReport report;
  std::string message;
};

absl::Status CheckPrograms(const MonitorOptions& options) {
  for (const auto& [what, path] :
       {std::pair<const char*, const std::string&>("monitor", options.monitor_path),
        {"OCI runtime", options.runtime_path}}) {
    if (access(path.c_str(), X_OK) != 0) {
      return FailedPrecondition("the {} {} cannot be executed: {}", what, path, ErrnoText(errno));
    }
  }
  return absl::OkStatus();
}

uint64_t LineLimit(int64_t wanted) {
  const auto limit = static_cast<int64_t>(conmon::kMaxLineLimit);
  return static_cast<uint64_t>(wanted <= 0 ? limit : std::min(wanted, limit));
}

std::vector<std::string> MonitorArgs(const MonitorOptions& options) {
  std::vector<std::string> argv = {options.monitor_path,
                                   "--id",
                                   options.container_id,
                                   "--run-dir",
                                   options.run_dir,
                                   "--bundle",
                                   options.bundle,
                                   "--runtime",
                                   options.runtime_path,
                                   "--runtime-root",
                                   options.runtime_root,
                                   "--log-path",
                                   options.log_path,
                                   "--max-line",
                                   std::to_string(LineLimit(options.max_log_line_bytes)),
                                   "--log-rate",
                                   std::to_string(options.log_rate),
                                   "--max-log-size",
                                   std::to_string(options.max_log_size),
                                   "--journal-fields",
                                   options.journal_fields,
                                   "--sync-fd",
                                   std::to_string(kSyncFd)};
  if (!options.memory_cgroup_dir.empty()) {
    argv.emplace_back("--oom-file");
    argv.push_back(JoinPath(options.memory_cgroup_dir,
                            options.cgroup_mode == "v2" ? "memory.events" : "memory.oom_control"));
  }
  if (!options.memory_parent_dir.empty()) {
    argv.emplace_back("--oom-parent-file");
    argv.push_back(JoinPath(options.memory_parent_dir, "memory.events"));
  }
  for (const auto& [given, flag] :
       {std::pair(options.tty, "--tty"), std::pair(options.stdin_open, "--stdin"),
        std::pair(options.stdin_once, "--stdin-once"),
        std::pair(options.systemd_cgroup, "--systemd-cgroup"),
        std::pair(options.seccomp, "--seccomp")}) {
    if (given) {
      argv.emplace_back(flag);
    }
  }
  return argv;
}

// All that the monitor says until it closes the pipe.
absl::StatusOr<StartResult> ReadReport(Context& ctx, int fd) {
  std::string bytes;
  std::array<char, sizeof(conmon::StartReport) + conmon::kMaxStartMessage> buffer;
  while (true) {
    std::array<pollfd, 1> fds = {{{.fd = fd, .events = POLLIN, .revents = 0}}};
    RETURN_IF_ERROR(PollWith(ctx, fds));
    if (fds[0].revents == 0) {
      RETURN_IF_ERROR(ctx.Check());
      continue;
    }
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0 || bytes.size() > buffer.size()) {
      break;
    }
    bytes.append(buffer.data(), static_cast<size_t>(count));
  }
  StartResult result = {};
  if (bytes.size() < sizeof(result.report)) {
    return Internal("it ended without a report");
  }
  std::memcpy(&result.report, bytes.data(), sizeof(result.report));
  if (result.report.version != conmon::kProtocolVersion) {
    return FailedPrecondition("it speaks protocol {}, this daemon {}; install both from one build",
                              result.report.version, conmon::kProtocolVersion);
  }
  result.message = bytes.substr(sizeof(result.report), result.report.message_size);
  return result;
}

// Everything that the monitor started, then itself; then what the runtime knows of the container.
// The caller's context has ended, or is of no use for cleaning up.
void Abort(const MonitorOptions& options, const Process& monitor) {
  log::IfError(KillTree(monitor.pid(), TreeRoot::kOnlyStop), "stop the start of a container");
  log::IfError(monitor.Kill(SIGKILL), "kill a monitor");
  Context ctx(kCleanupTime);
  log::IfError(monitor.Wait(ctx).status(), "wait for a monitor");
  const Runtime runtime("", options.runtime_path, options.runtime_root);
  log::IfError(runtime.Delete(ctx, options.container_id), "delete a container that did not start");
  log::IfError(RemoveFile(JoinPath(options.run_dir, conmon::kControlSocket)), "remove a socket");
}

absl::Status FailureOf(const MonitorOptions& options, const std::string& what,
                       const StartResult& result) {
  if (result.report.outcome == conmon::StartOutcome::kMonitorFailed) {
    return Internal("{}: monitor: {}", what, Printable(result.message));
  }
  const auto log = ReadFile(JoinPath(options.run_dir, conmon::kRuntimeLog), kMaxRuntimeLog);
  std::string text = log.ok() ? LastRuntimeError(*log) : "";
  if (text.empty()) {
    text = result.message;
  }
  if (text.empty()) {
    text = fmt::format("OCI runtime {} ended with status {:#x} and said nothing",
                       options.runtime_path, result.report.runtime_status);
  }
  return RuntimeErrorStatus(what, text);
}

absl::StatusOr<Process> SpawnMonitor(const MonitorOptions& options, int sync_fd) {
  SpawnOptions spawn;
  spawn.argv = MonitorArgs(options);
  spawn.env = MinimalEnv();
  spawn.fds = {{sync_fd, kSyncFd}};
  PassRuntime({.program = options.runtime_program, .mount_namespace = options.runtime_mounts},
              kSyncFd + 1, spawn);
  spawn.new_session = true;
  return Spawn(spawn);
}

}  // namespace

absl::StatusOr<MonitorHandle> StartMonitor(Context& ctx, const MonitorOptions& options) {
  RETURN_IF_ERROR(ctx.Check());
  RETURN_IF_ERROR(CheckPrograms(options));
  RETURN_IF_ERROR(MakeDirs(options.runtime_root));
  const std::string what = "start container " + ShortId(options.container_id);
  auto pipe = MakePipe();
  if (!pipe.ok()) {
    return Annotate(pipe.status(), what);
  }
  auto monitor = SpawnMonitor(options, pipe->writer.get());
  if (!monitor.ok()) {
    return Annotate(monitor.status(), what);
  }
  pipe->writer.Reset();
  auto result = ReadReport(ctx, pipe->reader.get());
  if (!result.ok()) {
    Abort(options, *monitor);
    return Annotate(result.status(), what + ": monitor");
  }
  if (result->report.outcome != conmon::StartOutcome::kRunning) {
    absl::Status failure = FailureOf(options, what, *result);
    Abort(options, *monitor);
    return failure;
  }
  MonitorHandle handle;
  handle.monitor_pid = monitor->pid();
  // It is our child and not yet waited for: it has a start time even if it has ended.
  ASSIGN_OR_RETURN(handle.monitor_start_time, ProcessStartTime(monitor->pid()));
  handle.monitor_pidfd = monitor->TakePidfd();
  handle.container_pid = result->report.container_pid;
  handle.container_start_time = result->report.container_start_time;
  return handle;
}

void ReapMonitor(int monitor_pidfd) {
  siginfo_t info = {};
  while (waitid(P_PIDFD, static_cast<id_t>(monitor_pidfd), &info, WEXITED | WNOHANG) != 0 &&
         errno == EINTR) {
  }
}

}  // namespace davit::server::oci
