// SPDX-License-Identifier: Apache-2.0
//
// Finding a monitor again, speaking to it, reading what it left.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/file.h"
#include "base/poll.h"
#include "base/proc.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "conmon/protocol.h"
#include "server/oci/monitor.h"
#include "server/oci/monitor_connection.h"

namespace davit::server::oci {
namespace {

constexpr std::chrono::seconds kFindTime{10};
constexpr std::chrono::milliseconds kRetryTime{10};

void Pause(Context& ctx) {
  Context pause(ctx, kRetryTime);
  (void)PollWith(pause, {});
}

// As long as the monitor is still starting the container, its state is asked for again.
absl::StatusOr<conmon::Reply> SettledState(Context& ctx, int fd, const std::string& run_dir) {
  while (true) {
    ASSIGN_OR_RETURN(const conmon::Reply reply,
                     CallMonitor(ctx, fd, conmon::Command::kState, run_dir));
    if (reply.error != 0) {
      return ErrnoStatus(
          reply.error, fmt::format("ask the monitor at {} (protocol {})", run_dir, reply.version));
    }
    if (reply.phase != conmon::Phase::kStarting) {
      return reply;
    }
    RETURN_IF_ERROR(Annotate(ctx.Check(), "the container at " + run_dir + " is still starting"));
    Pause(ctx);
  }
}

absl::StatusOr<MonitorHandle> Identify(Context& ctx, const UniqueFd& connection,
                                       const std::string& run_dir) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return ErrnoStatus(errno, "ask who listens at " + run_dir);
  }
  MonitorHandle handle;
  handle.monitor_pid = peer.pid;
  // The order proves that the descriptor is the monitor's: the process that listens answers after
  // the descriptor was opened, so it lived and had this number when it was.
  auto pidfd = OpenPidfd(peer.pid);
  if (!pidfd.ok()) {
    return absl::IsNotFound(pidfd.status()) ? NoMonitor(run_dir) : pidfd.status();
  }
  handle.monitor_pidfd = *std::move(pidfd);
  ASSIGN_OR_RETURN(const conmon::Reply reply, SettledState(ctx, connection.get(), run_dir));
  ASSIGN_OR_RETURN(handle.monitor_start_time, ProcessStartTime(peer.pid));
  handle.container_pid = reply.container_pid;
  handle.container_start_time = reply.container_start_time;
  return handle;
}

bool ParseExitLine(const std::string& line, ExitInfo& info, bool& has_version) {
  const std::vector<std::string> words = Words(line);
  if (words.size() != 2) {
    return false;
  }
  const auto value = ParseInt(words[1]);
  if (!value) {
    return false;
  }
  if (words[0] == "version") {
    has_version = *value == conmon::kProtocolVersion;
  } else if (words[0] == "code") {
    info.exit_code = static_cast<int>(*value);
  } else if (words[0] == "signal") {
    info.signal = static_cast<int>(*value);
  } else if (words[0] == "oom_kills") {
    info.oom_killed = *value > 0;
  } else if (words[0] == "finished_ns") {
    info.finished_at_ns = *value;
  }
  return true;  // unknown keys are of a later version
}

}  // namespace

absl::StatusOr<MonitorHandle> FindMonitor(const std::string& run_dir) {
  Context ctx(kFindTime);
  ASSIGN_OR_RETURN(const UniqueFd connection, ConnectToMonitor(ctx, run_dir));
  return Identify(ctx, connection, run_dir);
}

absl::StatusOr<std::optional<ExitInfo>> ReadExit(const std::string& run_dir) {
  const std::string path = JoinPath(run_dir, conmon::kExitFile);
  const auto text = ReadFile(path, 4096);
  if (absl::IsNotFound(text.status())) {
    return std::optional<ExitInfo>();
  }
  RETURN_IF_ERROR(text.status());
  ExitInfo info;
  bool has_version = false;
  for (const std::string& line : Split(Trim(*text), '\n')) {
    if (!ParseExitLine(line, info, has_version)) {
      return DataLoss("{} holds a line that is no exit record: {}", path, Printable(line));
    }
  }
  if (!has_version) {
    return DataLoss("{} is not of a version that this daemon knows", path);
  }
  return std::optional<ExitInfo>(info);
}

absl::Status ReopenLog(Context& ctx, const std::string& run_dir) {
  ASSIGN_OR_RETURN(const UniqueFd connection, ConnectToMonitor(ctx, run_dir));
  ASSIGN_OR_RETURN(const conmon::Reply reply,
                   CallMonitor(ctx, connection.get(), conmon::Command::kReopenLog, run_dir));
  return reply.error == 0
             ? absl::OkStatus()
             : ErrnoStatus(reply.error, "reopen the log of the container at " + run_dir);
}

}  // namespace davit::server::oci
