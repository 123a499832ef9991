// SPDX-License-Identifier: Apache-2.0
#include "server/oci/process_tree.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/context.h"
#include "base/file.h"
#include "base/poll.h"
#include "base/proc.h"
#include "base/status.h"
#include "base/subprocess.h"

namespace davit::server::oci {
namespace {

constexpr std::chrono::seconds kPatience{5};

void Signal(const UniqueFd& pidfd, int signal) {
  syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0);  // gone is as good
}

// A stop is not instant: a fork that has begun is finished first, and its child is to be found. One
// stuck in the kernel is not waited for: it cannot fork.
void Stop(Context& ctx, pid_t pid, const UniqueFd& pidfd) {
  constexpr std::chrono::milliseconds kStopTime{2000};
  Signal(pidfd, SIGSTOP);
  Context limit(ctx, kStopTime);
  while (limit.Check().ok()) {
    const auto stat = ReadFile(fmt::format("/proc/{}/stat", pid), 4096);
    const size_t name_end = stat.ok() ? stat->rfind(") ") : std::string::npos;
    if (name_end == std::string::npos || std::strchr("TtZX", (*stat)[name_end + 2]) != nullptr) {
      return;
    }
    Context pause(limit, std::chrono::milliseconds(1));
    (void)PollWith(pause, {});
  }
}

// Stops all below `pid` and adds them to `tree`. Returns whether there was anything new.
bool StopBelow(Context& ctx, pid_t pid, std::map<pid_t, UniqueFd>& tree) {
  bool found = false;
  for (const pid_t child : ChildrenOf(pid)) {
    if (tree.count(child) == 0) {
      auto pidfd = OpenPidfd(child);
      const std::vector<pid_t> again = ChildrenOf(pid);
      // Still a child: the descriptor is not of a stranger that was given the number meanwhile.
      if (!pidfd.ok() || std::find(again.begin(), again.end(), child) == again.end()) {
        continue;
      }
      Stop(ctx, child, *pidfd);
      tree.emplace(child, *std::move(pidfd));
      found = true;
    }
    found = StopBelow(ctx, child, tree) || found;
  }
  return found;
}

absl::Status AwaitEnd(Context& ctx, pid_t pid, const UniqueFd& pidfd) {
  while (true) {
    std::array<pollfd, 1> fds = {{{.fd = pidfd.get(), .events = POLLIN, .revents = 0}}};
    RETURN_IF_ERROR(PollWith(ctx, fds));
    if (fds[0].revents != 0) {
      return absl::OkStatus();
    }
    if (!ctx.Check().ok()) {
      return DeadlineExceeded("process {} does not die of SIGKILL; it is stuck in the kernel", pid);
    }
  }
}

}  // namespace

absl::Status KillTree(pid_t root, TreeRoot treatment) {
  auto root_fd = OpenPidfd(root);
  if (!root_fd.ok()) {
    return absl::IsNotFound(root_fd.status()) ? absl::OkStatus() : root_fd.status();
  }
  Context ctx(kPatience);
  Stop(ctx, root, *root_fd);
  std::map<pid_t, UniqueFd> tree;
  // Again, for what was orphaned towards the root between looking and stopping.
  while (StopBelow(ctx, root, tree) && ctx.Check().ok()) {
  }
  for (const auto& [pid, pidfd] : tree) {
    Signal(pidfd, SIGKILL);
  }
  if (treatment == TreeRoot::kKill) {
    Signal(*root_fd, SIGKILL);
    tree.emplace(root, *std::move(root_fd));
  }
  for (const auto& [pid, pidfd] : tree) {
    RETURN_IF_ERROR(AwaitEnd(ctx, pid, pidfd));
  }
  return absl::OkStatus();
}

}  // namespace davit::server::oci
