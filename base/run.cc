// SPDX-License-Identifier: Apache-2.0
//
// Run: a child fed and listened to until it ends.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <thread>

#include "base/file.h"
#include "base/pipe.h"
#include "base/poll.h"
#include "base/proc.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"

namespace davit {
namespace {

constexpr size_t kReadSize = 16384;
// What is read of each stream after the child's end: more than a pipe holds, and an end to a
// grandchild that writes for ever.
constexpr size_t kMaxDrain = 2U << 20U;
// How long a killed child may take to die; one stuck in the kernel is left to a thread.
constexpr std::chrono::seconds kReapTimeout{10};

// The read end of a pipe from the child.
struct Stream {
  UniqueFd fd;
  std::string* text = nullptr;

  // Reads what is there, up to `limit` bytes. Keeps `max_output` of all.
  absl::Status ReadSome(size_t max_output, size_t limit, bool& truncated) {
    std::array<char, kReadSize> buffer;
    size_t total = 0;
    while (fd.valid() && total < limit) {
      const ssize_t got = read(fd.get(), buffer.data(), buffer.size());
      if (got < 0) {
        if (errno == EINTR) {
          continue;
        }
        return errno == EAGAIN ? absl::OkStatus() : ErrnoStatus(errno, "read a child's output");
      }
      if (got == 0) {
        fd.Reset();
        break;
      }
      const auto count = static_cast<size_t>(got);
      const size_t kept = std::min(count, max_output - std::min(max_output, text->size()));
      text->append(buffer.data(), kept);
      truncated = truncated || kept < count;
      total += count;
    }
    return absl::OkStatus();
  }
};

absl::StatusOr<Pipe> MakeOutputPipe() {
  ASSIGN_OR_RETURN(Pipe made, MakePipe());
  // Our end only: programs do not expect a standard output that says EAGAIN.
  if (fcntl(made.reader.get(), F_SETFL, O_NONBLOCK) != 0) {
    return ErrnoStatus(errno, "make a pipe non-blocking");
  }
  return made;
}

// A file in memory rather than a pipe: nothing to poll, no SIGPIPE when the child does not read.
absl::StatusOr<UniqueFd> MakeInput(std::string_view input) {
  UniqueFd fd(memfd_create("stdin", MFD_CLOEXEC));
  if (!fd.valid()) {
    return ErrnoStatus(errno, "make a file in memory for a child's input");
  }
  RETURN_IF_ERROR(WriteFd(fd.get(), input, "a child's input"));
  if (lseek(fd.get(), 0, SEEK_SET) != 0) {
    return ErrnoStatus(errno, "rewind a child's input");
  }
  return fd;
}

bool IsMapped(const SpawnOptions& options, int child_fd) {
  return std::any_of(options.fds.begin(), options.fds.end(),
                     [child_fd](const FdMapping& fd) { return fd.child_fd == child_fd; });
}

// Kills and reaps; a child that does not die (stuck in the kernel) must not stick its caller.
void KillAndReap(Process process, bool whole_session) {
  if (whole_session) {
    for (const pid_t pid : SessionMembers(process.pid())) {
      kill(pid, SIGKILL);
    }
  }
  (void)process.Kill(SIGKILL);
  Context grace(kReapTimeout);
  if (process.Wait(grace).status().code() == absl::StatusCode::kDeadlineExceeded) {
    std::thread([fd = process.TakePidfd()] {
      siginfo_t info = {};
      waitid(P_PIDFD, static_cast<id_t>(fd.get()), &info, WEXITED);
    }).detach();
  }
}

class Runner {
 public:
  Runner(const SpawnOptions& options, const RunOptions& run) : options_(options), run_(run) {}

  absl::StatusOr<RunResult> Go(Context& ctx) {
    RETURN_IF_ERROR(ctx.Check());
    RETURN_IF_ERROR(Start());
    if (absl::Status status = Listen(ctx); !status.ok()) {
      const std::string program = Printable(options_.argv[0]);
      KillAndReap(std::move(process_), options_.new_session);
      return Annotate(status, "run " + program);
    }
    Context no_limit;
    ASSIGN_OR_RETURN(result_.exit, process_.Wait(no_limit));
    return std::move(result_);
  }

 private:
  // Spawns with the pipes; the child's ends are closed here when it returns.
  absl::Status Start() {
    SpawnOptions options = options_;
    std::vector<UniqueFd> child_ends;
    const auto give = [&](UniqueFd fd, int child_fd) {
      options.fds.push_back({fd.get(), child_fd});
      child_ends.push_back(std::move(fd));
    };
    if (!IsMapped(options_, STDIN_FILENO) && !run_.input.empty()) {
      ASSIGN_OR_RETURN(UniqueFd input, MakeInput(run_.input));
      give(std::move(input), STDIN_FILENO);
    }
    const std::array<std::pair<int, std::string*>, 2> outputs = {
        {{STDOUT_FILENO, &result_.out}, {STDERR_FILENO, &result_.err}}};
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!IsMapped(options_, outputs[i].first)) {
        ASSIGN_OR_RETURN(Pipe made, MakeOutputPipe());
        streams_[i] = {std::move(made.reader), outputs[i].second};
        give(std::move(made.writer), outputs[i].first);
      }
    }
    ASSIGN_OR_RETURN(process_, Spawn(options));
    return absl::OkStatus();
  }

  // Collects output until the child ends. Its end counts, not that of its output: a grandchild may
  // keep the pipes open.
  absl::Status Listen(Context& ctx) {
    while (true) {
      std::array<pollfd, 3> fds = {{{.fd = streams_[0].fd.get(), .events = POLLIN, .revents = 0},
                                    {.fd = streams_[1].fd.get(), .events = POLLIN, .revents = 0},
                                    {.fd = process_.pidfd(), .events = POLLIN, .revents = 0}}};
      RETURN_IF_ERROR(PollWith(ctx, fds));
      const bool ended = fds[2].revents != 0;
      for (size_t i = 0; i < streams_.size(); ++i) {
        if (ended || fds[i].revents != 0) {
          RETURN_IF_ERROR(streams_[i].ReadSome(run_.max_output, ended ? kMaxDrain : kReadSize,
                                               result_.truncated));
        }
      }
      if (ended) {
        return absl::OkStatus();
      }
      RETURN_IF_ERROR(ctx.Check());
    }
  }

  const SpawnOptions& options_;
  const RunOptions& run_;
  RunResult result_;
  std::array<Stream, 2> streams_;
  Process process_;
};

}  // namespace

absl::StatusOr<RunResult> Run(Context& ctx, const SpawnOptions& options, const RunOptions& run) {
  return Runner(options, run).Go(ctx);
}

}  // namespace davit
