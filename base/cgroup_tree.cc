// SPDX-License-Identifier: Apache-2.0
//
// What concerns a cgroup with all below it: its processes, their end, its removal.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <set>
#include <thread>

#include "base/cgroup.h"
#include "base/file.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"

namespace davit {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kBusyTimeout{1000};
constexpr std::chrono::milliseconds kKillTimeout{5000};
constexpr std::chrono::milliseconds kRetryDelay{5};
// A million processes have seven digits each.
constexpr size_t kMaxProcs = 16U << 20U;

struct DirCloser {
  void operator()(DIR* dir) const { closedir(dir); }
};

// The subdirectories, which are the child cgroups; a directory that is gone has none.
std::vector<std::string> ChildDirs(const std::string& dir) {
  std::vector<std::string> children;
  const std::unique_ptr<DIR, DirCloser> stream(opendir(dir.c_str()));
  while (const dirent* entry = stream ? readdir(stream.get()) : nullptr) {
    const std::string name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") {
      children.push_back(JoinPath(dir, name));
    }
  }
  return children;
}

// The directory and all below, parents first.
std::vector<std::string> TreeOf(const std::string& dir) {
  std::vector<std::string> tree = {dir};
  for (size_t i = 0; i < tree.size(); ++i) {
    const std::vector<std::string> children = ChildDirs(tree[i]);
    tree.insert(tree.end(), children.begin(), children.end());
  }
  return tree;
}

absl::Status CollectPids(const std::string& dir, std::set<int>& pids) {
  const absl::StatusOr<std::string> text = ReadFile(JoinPath(dir, "cgroup.procs"), kMaxProcs);
  if (!text.ok()) {
    // Gone meanwhile, or a threaded cgroup of v2, whose processes its parent lists.
    const bool ignorable = absl::IsNotFound(text.status()) || absl::IsInternal(text.status());
    return ignorable ? absl::OkStatus() : text.status();
  }
  for (const std::string& word : Words(*text)) {
    const auto pid = ParseInt(word);
    if (pid && *pid > 0) {  // 0: outside of our PID namespace
      pids.insert(static_cast<int>(*pid));
    }
  }
  return absl::OkStatus();
}

// rmdir from the bottom up. EBUSY: processes that were killed are still leaving.
absl::Status RemoveIn(const std::string& dir, Clock::time_point give_up) {
  while (rmdir(dir.c_str()) != 0 && errno != ENOENT) {
    if (errno != EBUSY && errno != ENOTEMPTY) {
      return ErrnoStatus(errno, "remove cgroup " + dir);
    }
    const std::vector<std::string> tree = TreeOf(dir);
    for (auto below = tree.rbegin(); below != tree.rend(); ++below) {
      rmdir(below->c_str());
    }
    if (!PathExists(dir)) {
      break;
    }
    if (Clock::now() >= give_up) {
      return FailedPrecondition("remove cgroup {}: processes are still in it or below it", dir);
    }
    std::this_thread::sleep_for(kRetryDelay);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CgroupFs::Remove(const std::string& cgroup) const {
  RETURN_IF_ERROR(internal::CheckCgroupPath(cgroup));
  const Clock::time_point give_up = Clock::now() + kBusyTimeout;
  absl::Status first_error;
  std::set<std::string> hierarchies = Hierarchies();
  hierarchies.insert(bare_dirs_.begin(), bare_dirs_.end());
  for (const std::string& hierarchy : hierarchies) {
    first_error.Update(RemoveIn(JoinPath(hierarchy, cgroup), give_up));
  }
  return first_error;
}

absl::Status CgroupFs::Attach(const std::string& cgroup, int pid) const {
  RETURN_IF_ERROR(internal::CheckCgroupPath(cgroup));
  for (const std::string& hierarchy : Hierarchies()) {
    RETURN_IF_ERROR(Annotate(
        WriteExisting(JoinPath(JoinPath(hierarchy, cgroup), "cgroup.procs"), std::to_string(pid)),
        fmt::format("move process {} to cgroup {}", pid, cgroup)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int>> CgroupFs::Pids(const std::string& cgroup) const {
  RETURN_IF_ERROR(internal::CheckCgroupPath(cgroup));
  std::set<int> pids;
  bool found = false;
  for (const std::string& hierarchy : Hierarchies()) {
    const std::string top = JoinPath(hierarchy, cgroup);
    if (!PathExists(top)) {
      continue;
    }
    found = true;
    for (const std::string& dir : TreeOf(top)) {
      RETURN_IF_ERROR(CollectPids(dir, pids));
    }
  }
  if (!found) {
    return NotFound("cgroup {} does not exist", cgroup);
  }
  return std::vector<int>(pids.begin(), pids.end());
}

// Signals the processes through pidfds that were opened while the cgroup listed them, so that a
// number reused meanwhile hits nobody else.
absl::StatusOr<size_t> CgroupFs::SignalAll(const std::string& cgroup) const {
  ASSIGN_OR_RETURN(const std::vector<int> before, Pids(cgroup));
  std::vector<std::pair<int, UniqueFd>> opened;
  for (const int pid : before) {
    if (pid == getpid()) {
      return FailedPrecondition("kill cgroup {}: the daemon itself is in it", cgroup);
    }
    if (absl::StatusOr<UniqueFd> fd = OpenPidfd(pid); fd.ok()) {
      opened.emplace_back(pid, *std::move(fd));
    }
    constexpr size_t kAtOnce = 200;  // of the daemon's descriptors; the caller comes again
    if (opened.size() >= kAtOnce) {
      break;
    }
  }
  ASSIGN_OR_RETURN(const std::vector<int> after, Pids(cgroup));
  for (const auto& [pid, fd] : opened) {
    if (std::binary_search(after.begin(), after.end(), pid)) {
      syscall(SYS_pidfd_send_signal, fd.get(), SIGKILL, nullptr, 0);
    }
  }
  return after.size();
}

void CgroupFs::Thaw(const std::string& cgroup) const {
  const std::string freezer = Dir("freezer", cgroup);
  if (mode_ == CgroupMode::kV2 || freezer.empty()) {
    return;  // v2 kills frozen processes as they are
  }
  for (const std::string& dir : TreeOf(freezer)) {
    // It may be gone or thawed; whether the processes end is what counts.
    (void)WriteExisting(JoinPath(dir, "freezer.state"), "THAWED");
  }
}

absl::Status CgroupFs::KillAll(const std::string& cgroup) const {
  RETURN_IF_ERROR(internal::CheckCgroupPath(cgroup));
  if (mode_ == CgroupMode::kV2) {
    if (!Exists(cgroup)) {
      return absl::OkStatus();
    }
    const auto pids = Pids(cgroup);
    if (absl::IsNotFound(pids.status())) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(pids.status());
    if (std::binary_search(pids->begin(), pids->end(), static_cast<int>(getpid()))) {
      return FailedPrecondition("kill cgroup {}: the daemon itself is in it", cgroup);
    }
    const absl::Status status = Write("", cgroup, "cgroup.kill", "1");
    if (!absl::IsNotFound(status)) {  // Linux before 5.14 lacks the file
      return status;
    }
  }
  const Clock::time_point give_up = Clock::now() + kKillTimeout;
  while (true) {
    const absl::StatusOr<size_t> left = SignalAll(cgroup);
    if (absl::IsNotFound(left.status()) || (left.ok() && *left == 0)) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(left.status());
    Thaw(cgroup);
    if (Clock::now() >= give_up) {
      return DeadlineExceeded("kill cgroup {}: {} processes do not end (stuck in the kernel?)",
                              cgroup, *left);
    }
    std::this_thread::sleep_for(kRetryDelay);
  }
}

}  // namespace davit
