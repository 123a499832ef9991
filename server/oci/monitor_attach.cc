// SPDX-License-Identifier: Apache-2.0
//
// Attaching to a container through its monitor.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/pipe.h"
#include "base/status.h"
#include "conmon/protocol.h"
#include "server/oci/monitor.h"
#include "server/oci/monitor_connection.h"

namespace davit::server::oci {
namespace {

// The monitor's ends, which close here once it has them.
struct MonitorEnds {
  std::array<UniqueFd, conmon::kMaxAttachStreams> fds;
  size_t count = 0;
  uint32_t streams = 0;
};

// A pipe of which the monitor gets the end to read from (its input) or to write to.
absl::Status AddPipe(uint32_t stream, bool monitor_reads, UniqueFd& ours, MonitorEnds& theirs) {
  ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  ours = std::move(monitor_reads ? pipe.writer : pipe.reader);
  theirs.fds[theirs.count++] = std::move(monitor_reads ? pipe.reader : pipe.writer);
  theirs.streams |= stream;
  return absl::OkStatus();
}

absl::Status SendWithFds(int fd, const conmon::Request& request, const MonitorEnds& ends,
                         const std::string& run_dir) {
  iovec part = {const_cast<conmon::Request*>(&request), sizeof(request)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(conmon::kMaxAttachStreams * sizeof(int))> control =
      {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (ends.count > 0) {
    std::array<int, conmon::kMaxAttachStreams> numbers = {};
    for (size_t i = 0; i < ends.count; ++i) {
      numbers[i] = ends.fds[i].get();
    }
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(ends.count * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(ends.count * sizeof(int));
    std::memcpy(CMSG_DATA(header), numbers.data(), ends.count * sizeof(int));
  }
  return sendmsg(fd, &message, MSG_NOSIGNAL) >= 0 ? absl::OkStatus() : MonitorSendFailure(run_dir);
}

absl::Status AttachFailure(int error, const std::string& run_dir) {
  switch (error) {
    case 0:
      return absl::OkStatus();
    case EBUSY:
      return ResourceExhausted("attach to the container at {}: too many clients are attached",
                               run_dir);
    case EAGAIN:
      return FailedPrecondition("attach to the container at {}: it does not run", run_dir);
    case ENOSYS:
      return Unimplemented(
          "attach to the container at {}: it was started by a version of davit that could not; "
          "start it anew",
          run_dir);
    default:
      return ErrnoStatus(error, "attach to the container at " + run_dir);
  }
}

}  // namespace

absl::StatusOr<Attachment> AttachContainer(Context& ctx, const std::string& run_dir,
                                           const AttachStreams& streams) {
  ctx.SetStage("attach");
  ASSIGN_OR_RETURN(const UniqueFd connection, ConnectToMonitor(ctx, run_dir));
  Attachment attachment;
  MonitorEnds ends;
  if (streams.in) {
    RETURN_IF_ERROR(AddPipe(conmon::kAttachInput, true, attachment.in, ends));
  }
  if (streams.out) {
    RETURN_IF_ERROR(AddPipe(conmon::kAttachOutput, false, attachment.out, ends));
  }
  if (streams.err) {
    RETURN_IF_ERROR(AddPipe(conmon::kAttachErrors, false, attachment.err, ends));
  }
  conmon::Request request = MonitorRequest(conmon::Command::kAttach);
  request.streams = ends.streams;
  RETURN_IF_ERROR(SendWithFds(connection.get(), request, ends, run_dir));
  ASSIGN_OR_RETURN(const conmon::Reply reply, AwaitMonitorReply(ctx, connection.get(), run_dir));
  RETURN_IF_ERROR(AttachFailure(reply.error, run_dir));
  return attachment;
}

absl::Status ResizeTerminal(const std::string& run_dir, uint16_t rows, uint16_t columns) {
  Context at_once;
  at_once.Cancel();
  ASSIGN_OR_RETURN(const UniqueFd connection, ConnectToMonitor(at_once, run_dir));
  conmon::Request request = MonitorRequest(conmon::Command::kResize);
  request.rows = rows;
  request.columns = columns;
  return send(connection.get(), &request, sizeof(request), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0
             ? absl::OkStatus()
             : MonitorSendFailure(run_dir);
}

}  // namespace davit::server::oci
