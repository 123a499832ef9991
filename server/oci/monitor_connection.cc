// SPDX-License-Identifier: Apache-2.0
#include "server/oci/monitor_connection.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/file.h"
#include "base/poll.h"
#include "base/status.h"

namespace davit::server::oci {
namespace {

constexpr std::chrono::milliseconds kRetryTime{10};

void Pause(Context& ctx) {
  Context pause(ctx, kRetryTime);
  (void)PollWith(pause, {});
}

}  // namespace

absl::Status NoMonitor(const std::string& run_dir) {
  return NotFound("no monitor lives at {}", run_dir);
}

absl::StatusOr<UniqueFd> ConnectToMonitor(Context& ctx, const std::string& run_dir) {
  const auto directory = Open(run_dir, O_PATH | O_DIRECTORY);
  if (!directory.ok()) {
    return absl::IsNotFound(directory.status()) ? NoMonitor(run_dir) : directory.status();
  }
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) {
    return ErrnoStatus(errno, "make a socket");
  }
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  // Through /proc: the run directory's own path may be too long for a socket address.
  const std::string path =
      fmt::format("/proc/self/fd/{}/{}", directory->get(), conmon::kControlSocket);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  while (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno == ECONNREFUSED || errno == ENOENT) {
      return NoMonitor(run_dir);
    }
    if (errno != EAGAIN && errno != EINTR) {
      return ErrnoStatus(errno, "connect to the monitor at " + run_dir);
    }
    RETURN_IF_ERROR(ctx.Check());
    Pause(ctx);
  }
  return fd;
}

absl::Status MonitorSendFailure(const std::string& run_dir) {
  return errno == EPIPE || errno == ECONNRESET
             ? NoMonitor(run_dir)
             : ErrnoStatus(errno, "speak to the monitor at " + run_dir);
}

conmon::Request MonitorRequest(conmon::Command command) {
  return {.version = conmon::kProtocolVersion,
          .command = command,
          .rows = 0,
          .columns = 0,
          .streams = 0};
}

absl::StatusOr<conmon::Reply> CallMonitor(Context& ctx, int fd, conmon::Command command,
                                          const std::string& run_dir) {
  const conmon::Request request = MonitorRequest(command);
  if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) < 0) {
    return MonitorSendFailure(run_dir);
  }
  return AwaitMonitorReply(ctx, fd, run_dir);
}

absl::StatusOr<conmon::Reply> AwaitMonitorReply(Context& ctx, int fd, const std::string& run_dir) {
  while (true) {
    std::array<pollfd, 1> fds = {{{.fd = fd, .events = POLLIN, .revents = 0}}};
    RETURN_IF_ERROR(PollWith(ctx, fds));
    if (fds[0].revents == 0) {
      RETURN_IF_ERROR(Annotate(ctx.Check(), "wait for the monitor at " + run_dir));
      continue;
    }
    conmon::Reply reply = {};
    const ssize_t size = recv(fd, &reply, sizeof(reply), 0);
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) {
      continue;
    }
    if (size <= 0) {
      return NoMonitor(run_dir);
    }
    if (size < static_cast<ssize_t>(2 * sizeof(uint32_t))) {
      return Internal("the monitor at {} gave a reply of {} bytes", run_dir, size);
    }
    return reply;
  }
}

}  // namespace davit::server::oci
