// SPDX-License-Identifier: Apache-2.0
#include "server/oci/exec_monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/pipe.h"
#include "base/poll.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "conmon/protocol.h"
#include "server/oci/process_tree.h"
#include "server/oci/runtime_error.h"

namespace davit::server::oci {
namespace {

constexpr int kReportFd = 3;
constexpr size_t kMaxRuntimeLog = 1U << 20U;
constexpr std::chrono::seconds kReapTime{10};

// A directory of one exec, gone with it: the runtime needs it only until the process runs.
class ExecDir {
 public:
  static absl::StatusOr<std::unique_ptr<ExecDir>> Make(const std::string& scratch) {
    static std::atomic<uint64_t> counter = 0;
    auto made = std::make_unique<ExecDir>(
        JoinPath(scratch, fmt::format("{}-{}", NowNanos(), counter.fetch_add(1))));
    RETURN_IF_ERROR(MakeDirs(made->path()));
    return made;
  }
  explicit ExecDir(std::string path) : path_(std::move(path)) {}
  ~ExecDir() { log::IfError(RemoveTree(path_), "remove the directory of an exec"); }
  ExecDir(const ExecDir&) = delete;
  ExecDir& operator=(const ExecDir&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The process's ends, which close here once the monitor has them.
struct ChildEnds {
  UniqueFd in;
  UniqueFd out;
  UniqueFd err;
};

// For all users, as the container's own pipes are: see conmon/launch.cc.
absl::StatusOr<Pipe> MakeOpenPipe() {
  ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  if (fchmod(pipe.reader.get(), 0666) != 0) {
    return ErrnoStatus(errno, "set the mode of a pipe");
  }
  return pipe;
}

// Nothing of the node's: crun gives all three to the user of the process. Where an output is not
// wanted, the monitor has a null device.
absl::StatusOr<ChildEnds> MakePipes(const ExecStreams& streams, RunningExec& exec) {
  ChildEnds child;
  ASSIGN_OR_RETURN(Pipe in, MakeOpenPipe());
  child.in = std::move(in.reader);
  if (streams.in) {
    exec.in = std::move(in.writer);
  }
  const auto output = [](bool wanted, UniqueFd& ours, UniqueFd& theirs) -> absl::Status {
    if (wanted) {
      ASSIGN_OR_RETURN(Pipe pipe, MakeOpenPipe());
      ours = std::move(pipe.reader);
      theirs = std::move(pipe.writer);
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(output(streams.out, exec.out, child.out));
  RETURN_IF_ERROR(output(streams.err, exec.err, child.err));
  return child;
}

struct Report {
  conmon::StartReport report = {};
  std::string message;
  UniqueFd terminal;
};

// One packet, whole: the report, its message, the terminal. Nothing: not yet.
absl::StatusOr<std::optional<Report>> ReceiveReport(int fd) {
  Report received;
  std::array<char, conmon::kMaxStartMessage> text;
  std::array<iovec, 2> parts = {
      {{&received.report, sizeof(received.report)}, {text.data(), text.size()}}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control = {};
  msghdr message = {};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
    return std::optional<Report>();
  }
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message);
      header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    int terminal = -1;
    std::memcpy(&terminal, CMSG_DATA(header), sizeof(terminal));
    received.terminal.Reset(terminal);
  }
  if (size < static_cast<ssize_t>(sizeof(received.report))) {
    return Internal("its monitor ended without a report");
  }
  if (received.report.version != conmon::kProtocolVersion) {
    return FailedPrecondition(
        "its monitor speaks protocol {}, this daemon {}; install both from "
        "one build",
        received.report.version, conmon::kProtocolVersion);
  }
  received.message.assign(text.data(), static_cast<size_t>(size) - sizeof(received.report));
  return std::optional<Report>(std::move(received));
}

absl::StatusOr<Report> AwaitReport(Context& ctx, int fd) {
  while (true) {
    std::array<pollfd, 1> fds = {{{.fd = fd, .events = POLLIN, .revents = 0}}};
    RETURN_IF_ERROR(PollWith(ctx, fds));
    if (fds[0].revents == 0) {
      RETURN_IF_ERROR(ctx.Check());
      continue;
    }
    ASSIGN_OR_RETURN(std::optional<Report> report, ReceiveReport(fd));
    if (report) {
      return *std::move(report);
    }
  }
}

absl::StatusOr<Process> SpawnMonitor(const Runtime& runtime, const std::string& id,
                                     const std::string& dir, const ExecStart& start,
                                     const ChildEnds& child, int report) {
  SpawnOptions spawn;
  spawn.argv = {start.monitor_path,
                "--exec",
                "--id",
                id,
                "--run-dir",
                dir,
                "--runtime",
                runtime.path(),
                "--runtime-root",
                runtime.root(),
                "--sync-fd",
                std::to_string(kReportFd)};
  if (start.streams.tty) {
    spawn.argv.emplace_back("--tty");
  }
  if (start.cpu) {
    spawn.argv.insert(spawn.argv.end(), {"--cpu", std::to_string(*start.cpu)});
  }
  const RuntimeLaunch launch = runtime.Launch();
  spawn.env = MinimalEnv();
  spawn.fds = {{report, kReportFd}};
  PassRuntime(launch, kReportFd + 1, spawn);
  for (const auto& [fd, number] :
       {std::pair(child.in.get(), STDIN_FILENO), std::pair(child.out.get(), STDOUT_FILENO),
        std::pair(child.err.get(), STDERR_FILENO)}) {
    if (fd >= 0) {
      spawn.fds.push_back({fd, number});
    }
  }
  spawn.new_session = true;
  return Spawn(spawn);
}

// Everything that was started, then the monitor. The caller's context has ended, perhaps.
void Abort(const Process& monitor) {
  log::IfError(KillTree(monitor.pid(), TreeRoot::kOnlyStop), "stop the start of an exec");
  log::IfError(monitor.Kill(SIGKILL), "kill the monitor of an exec");
  Context ctx(kReapTime);
  log::IfError(monitor.Wait(ctx).status(), "wait for the monitor of an exec");
}

absl::Status FailureOf(const Runtime& runtime, const std::string& what, const std::string& dir,
                       const Report& report) {
  if (report.report.outcome == conmon::StartOutcome::kMonitorFailed) {
    return Internal("{}: monitor: {}", what, Printable(report.message));
  }
  const auto log = ReadFile(JoinPath(dir, conmon::kRuntimeLog), kMaxRuntimeLog);
  std::string text = log.ok() ? LastRuntimeError(*log) : "";
  if (text.empty()) {
    text = fmt::format("OCI runtime {} ended with status {:#x} and said nothing", runtime.name(),
                       report.report.runtime_status);
  }
  return RuntimeErrorStatus(what, text);
}

absl::Status TakeTerminal(const ExecStreams& streams, UniqueFd terminal, RunningExec& exec) {
  const auto copy = [&terminal](UniqueFd& to) {
    to.Reset(fcntl(terminal.get(), F_DUPFD_CLOEXEC, 0));
    return to.valid() ? absl::OkStatus() : ErrnoStatus(errno, "duplicate a terminal");
  };
  if (streams.in) {
    RETURN_IF_ERROR(copy(exec.in));
  }
  if (streams.out) {
    RETURN_IF_ERROR(copy(exec.out));
  }
  exec.terminal = std::move(terminal);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<int>> RunningExec::ReadExit() {
  siginfo_t info = {};
  if (waitid(P_PIDFD, static_cast<id_t>(monitor_.pidfd()), &info, WEXITED | WNOHANG) == 0 &&
      info.si_pid == 0) {
    return std::optional<int>();
  }
  conmon::ExitReport report = {};
  const ssize_t size = recv(report_.get(), &report, sizeof(report), MSG_DONTWAIT);
  if (size < static_cast<ssize_t>(sizeof(report))) {
    return Internal("the monitor of an exec ended without saying how the command did");
  }
  return std::optional<int>(WIFSIGNALED(report.status) ? 128 + WTERMSIG(report.status)
                                                       : WEXITSTATUS(report.status));
}

absl::StatusOr<std::unique_ptr<RunningExec>> StartExec(Context& ctx, const Runtime& runtime,
                                                       const std::string& id,
                                                       const std::string& scratch_dir,
                                                       const ExecStart& start) {
  ctx.SetStage("exec");
  RETURN_IF_ERROR(ctx.Check());
  const std::string what = "exec in container " + ShortId(id);
  ASSIGN_OR_RETURN(const auto dir, ExecDir::Make(scratch_dir));
  RETURN_IF_ERROR(
      WriteFileAtomic(JoinPath(dir->path(), conmon::kExecProcessFile), start.process_json));
  std::array<int, 2> ends = {};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return ErrnoStatus(errno, what + ": make a socket");
  }
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  RunningExec prepared{Process(), UniqueFd()};
  ChildEnds child;
  if (!start.streams.tty) {
    ASSIGN_OR_RETURN(child, MakePipes(start.streams, prepared));
  }
  ASSIGN_OR_RETURN(Process monitor,
                   SpawnMonitor(runtime, id, dir->path(), start, child, theirs.get()));
  theirs.Reset();
  child = {};
  auto report = AwaitReport(ctx, ours.get());
  absl::Status status = Annotate(report.status(), what);
  if (status.ok() && report->report.outcome != conmon::StartOutcome::kRunning) {
    status = FailureOf(runtime, what, dir->path(), *report);
  }
  if (status.ok() && start.streams.tty) {
    status = Annotate(TakeTerminal(start.streams, std::move(report->terminal), prepared), what);
  }
  if (!status.ok()) {
    Abort(monitor);
    return status;
  }
  if (!report->message.empty()) {
    log::Warning("{}: {}", what, Printable(report->message));
  }
  auto exec = std::make_unique<RunningExec>(std::move(monitor), std::move(ours));
  exec->in = std::move(prepared.in);
  exec->out = std::move(prepared.out);
  exec->err = std::move(prepared.err);
  exec->terminal = std::move(prepared.terminal);
  return exec;
}

}  // namespace davit::server::oci
