// SPDX-License-Identifier: Apache-2.0
#include "server/oci/infra.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/namespace.h"
#include "base/pipe.h"
#include "base/poll.h"
#include "base/proc.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "conmon/protocol.h"
#include "server/oci/process_tree.h"

namespace davit::server::oci {
namespace {

constexpr std::chrono::seconds kCleanupTime{10};

std::vector<std::string> HelperArgs(const InfraOptions& options) {
  std::vector<std::string> argv = {options.monitor_path, "--infra"};
  for (const auto& [option, pin] :
       {std::pair<const char*, const std::string&>("--userns", options.user_pin),
        {"--netns", options.net_pin},
        {"--ipcns", options.ipc_pin},
        {"--utsns", options.uts_pin}}) {
    if (!pin.empty()) {
      argv.emplace_back(option);
      argv.push_back(pin);
    }
  }
  return argv;
}

// The helper makes the process and stays until the namespace is pinned, so that the process's
// number is not used again before. The process itself awaits our verdict, and ends if we die before
// it.
class Starter {
 public:
  explicit Starter(const InfraOptions& options) : options_(options) {}

  absl::StatusOr<InfraHandle> Go(Context& ctx) {
    RETURN_IF_ERROR(Spawn());
    auto handle = Take(ctx);
    if (handle.ok()) {
      return handle;
    }
    verdict_.Reset();
    log::IfError(KillTree(helper_.pid(), TreeRoot::kKill), "kill an infra process");
    Context reap(kCleanupTime);
    log::IfError(helper_.Wait(reap).status(), "wait for an infra helper");
    if (pinned_) {
      log::IfError(UnpinNamespace(options_.pid_pin), "unpin a PID namespace");
    }
    return Annotate(handle.status(), "start the infra process");
  }

 private:
  absl::Status Spawn() {
    ASSIGN_OR_RETURN(Pipe report, MakePipe());
    report_ = std::move(report.reader);
    // A socket for the verdict: writing to a helper that is gone is an error, not a signal.
    std::array<int, 2> verdict = {};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, verdict.data()) != 0) {
      return ErrnoStatus(errno, "make a socket");
    }
    verdict_.Reset(verdict[0]);
    const UniqueFd verdict_reader(verdict[1]);
    SpawnOptions spawn;
    spawn.argv = HelperArgs(options_);
    spawn.env = MinimalEnv();
    spawn.fds = {{verdict_reader.get(), STDIN_FILENO}, {report.writer.get(), STDOUT_FILENO}};
    spawn.new_session = true;
    spawn.cgroup_procs = options_.cgroup_procs;
    ASSIGN_OR_RETURN(helper_, davit::Spawn(spawn));
    return absl::OkStatus();
  }

  absl::StatusOr<InfraHandle> Take(Context& ctx) {
    InfraHandle handle;
    ASSIGN_OR_RETURN(handle.pid, ReadReport(ctx));
    ASSIGN_OR_RETURN(handle.pidfd, OpenPidfd(handle.pid));
    ASSIGN_OR_RETURN(handle.start_time, ProcessStartTime(handle.pid));
    RETURN_IF_ERROR(Pin(handle.pid));
    if (send(verdict_.get(), "k", 1, MSG_NOSIGNAL) != 1) {
      return ErrnoStatus(errno, "keep the process");
    }
    verdict_.Reset();
    ASSIGN_OR_RETURN(const ExitStatus exit, helper_.Wait(ctx));
    if (exit.code != 0) {
      return Internal("the helper ended with code {}", exit.code);
    }
    return handle;
  }

  // Until end of file: then the process runs, or the text says why not.
  absl::StatusOr<pid_t> ReadReport(Context& ctx) {
    std::string bytes;
    while (true) {
      std::array<pollfd, 1> fds = {{{.fd = report_.get(), .events = POLLIN, .revents = 0}}};
      RETURN_IF_ERROR(PollWith(ctx, fds));
      if (fds[0].revents == 0) {
        RETURN_IF_ERROR(ctx.Check());
        continue;
      }
      std::array<char, 512> buffer;
      const ssize_t count = read(report_.get(), buffer.data(), buffer.size());
      if (count <= 0 || bytes.size() > buffer.size()) {
        break;
      }
      bytes.append(buffer.data(), static_cast<size_t>(count));
    }
    conmon::InfraReport report = {};
    if (bytes.size() < sizeof(report)) {
      return Internal("the helper ended without a report");
    }
    std::memcpy(&report, bytes.data(), sizeof(report));
    if (report.version != conmon::kProtocolVersion) {
      return FailedPrecondition("{} speaks protocol {}, this daemon {}", options_.monitor_path,
                                report.version, conmon::kProtocolVersion);
    }
    if (bytes.size() > sizeof(report) || report.pid <= 0) {
      return Internal("{}", Printable(bytes.substr(sizeof(report))));
    }
    return report.pid;
  }

  absl::Status Pin(pid_t pid) {
    RETURN_IF_ERROR(
        Open(options_.pid_pin, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600).status());
    pinned_ = true;
    const std::string source = fmt::format("/proc/{}/ns/pid", pid);
    if (mount(source.c_str(), options_.pid_pin.c_str(), nullptr, MS_BIND, nullptr) != 0) {
      return ErrnoStatus(errno, "pin the PID namespace at " + options_.pid_pin);
    }
    return absl::OkStatus();
  }

  const InfraOptions& options_;
  UniqueFd report_;
  UniqueFd verdict_;
  Process helper_;
  bool pinned_ = false;
};

// The first process of a pinned namespace, by a scan of /proc.
std::optional<pid_t> FirstProcessOf(const std::string& pid_pin) {
  struct stat pin = {};
  const auto names = ListDir("/proc");
  if (!IsNamespacePin(pid_pin) || stat(pid_pin.c_str(), &pin) != 0 || !names.ok()) {
    return std::nullopt;
  }
  for (const std::string& name : *names) {
    const auto pid = ParseInt(name);
    struct stat own = {};
    if (!pid || stat(fmt::format("/proc/{}/ns/pid", *pid).c_str(), &own) != 0 ||
        own.st_ino != pin.st_ino || own.st_dev != pin.st_dev) {
      continue;
    }
    const auto status = ReadFile(fmt::format("/proc/{}/status", *pid));
    for (const std::string& line : Split(status.ok() ? *status : "", '\n')) {
      const std::vector<std::string> words = Words(line);
      if (words.size() > 1 && words[0] == "NSpid:" && words.back() == "1") {
        return static_cast<pid_t>(*pid);
      }
    }
  }
  return std::nullopt;
}

absl::Status KillAndWait(Context& ctx, const UniqueFd& pidfd, pid_t pid) {
  if (syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) != 0 && errno != ESRCH) {
    return ErrnoStatus(errno, fmt::format("kill the infra process {}", pid));
  }
  while (true) {
    std::array<pollfd, 1> fds = {{{.fd = pidfd.get(), .events = POLLIN, .revents = 0}}};
    RETURN_IF_ERROR(PollWith(ctx, fds));
    if (fds[0].revents != 0) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(Annotate(ctx.Check(), fmt::format("wait for the infra process {}", pid)));
  }
}

}  // namespace

absl::StatusOr<InfraHandle> StartInfra(Context& ctx, const InfraOptions& options) {
  ctx.SetStage("start infra process");
  return Starter(options).Go(ctx);
}

absl::Status StopInfra(Context& ctx, pid_t pid, uint64_t start_time, const std::string& pid_pin) {
  ctx.SetStage("stop infra process");
  const bool searched = pid <= 0;
  if (searched) {
    pid = FirstProcessOf(pid_pin).value_or(0);
  }
  if (pid > 0) {
    auto pidfd = OpenPidfd(pid);
    const auto start = ProcessStartTime(pid);  // read behind the descriptor: both of one process
    if (pidfd.ok() && start.ok() && (searched || *start == start_time)) {
      RETURN_IF_ERROR(KillAndWait(ctx, *pidfd, pid));
    }
  }
  return UnpinNamespace(pid_pin);
}

}  // namespace davit::server::oci
