// SPDX-License-Identifier: Apache-2.0
#include "base/poll.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/status.h"

namespace davit {
namespace {

constexpr size_t kMaxFds = 16;
// Without a cancel descriptor (none left) cancellation is looked for this often.
constexpr int kBlindPollMs = 100;

}  // namespace

absl::Status PollWith(const Context& ctx, std::span<pollfd> fds) {
  if (fds.size() > kMaxFds) {
    return Internal("poll: {} descriptors, at most {} are possible", fds.size(), kMaxFds);
  }
  std::array<pollfd, kMaxFds + 1> all = {};
  std::copy(fds.begin(), fds.end(), all.begin());
  all[fds.size()] = {.fd = ctx.cancel_fd(), .events = POLLIN, .revents = 0};
  int timeout = ctx.PollTimeoutMs();
  if (all[fds.size()].fd < 0) {
    timeout = timeout < 0 ? kBlindPollMs : std::min(timeout, kBlindPollMs);
  }
  const int ready = poll(all.data(), fds.size() + 1, timeout);
  if (ready < 0 && errno != EINTR) {
    return ErrnoStatus(errno, "poll");
  }
  for (size_t i = 0; i < fds.size(); ++i) {
    fds[i].revents = ready > 0 ? all[i].revents : short{0};
  }
  return absl::OkStatus();
}

}  // namespace davit
