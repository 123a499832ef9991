// SPDX-License-Identifier: Apache-2.0
//
// Moves of processes between cgroups that do not wait. A write to cgroup.procs takes the kernel's
// cgroup_threadgroup_rwsem for writing, and the first writer after a while waits for a grace period
// of RCU: 8 to 16 ms on an idle machine, as long as an OCI runtime takes for all else. For one more
// grace period after a writer has left, others need not wait (kernel/rcu/sync.c, Linux 4.4 and
// later; both versions of cgroups). So whoever knows that an OCI runtime is about to move a process
// begins with a move that changes nothing, of this process into the cgroup that it is in, while
// other work is done. The price: while moves are quick, forks and exits on the machine take a
// slower path (under a microsecond each).
#pragma once

#include <atomic>
#include <chrono>
#include <string>

#include "absl/status/statusor.h"

#include "base/cgroup.h"
#include "base/executor.h"

namespace davit {

// cgroup.procs of the cgroup that this process is in, in one of the hierarchies. NotFound if it is
// in none of them.
absl::StatusOr<std::string> OwnCgroupProcs(const CgroupFs& cgroups);

// Thread-safe.
class CgroupMoves {
 public:
  // Of OwnCgroupProcs(); empty: does nothing.
  explicit CgroupMoves(std::string own_procs);
  // Waits for the move that is being made.
  ~CgroupMoves();
  CgroupMoves(const CgroupMoves&) = delete;
  CgroupMoves& operator=(const CgroupMoves&) = delete;

  // Moves are quick from about one grace period from now on, for this time and a little longer.
  // Returns at once.
  void KeepQuick(std::chrono::milliseconds time);

 private:
  using Clock = std::chrono::steady_clock;

  void Work();
  // False: it cannot be done here.
  [[nodiscard]] bool Move() const;

  const std::string own_procs_;
  std::atomic<Clock::time_point> until_{Clock::time_point::min()};
  std::atomic<bool> working_{false};
  std::atomic<bool> ended_{false};
  Executor executor_{1};  // the last: its end waits for Work()
};

}  // namespace davit
