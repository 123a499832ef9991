// SPDX-License-Identifier: Apache-2.0
#include "base/cgroup_moves.h"

#include <fcntl.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

namespace davit {
namespace {

// Well below the shortest grace period.
constexpr std::chrono::milliseconds kInterval{4};

}  // namespace

absl::StatusOr<std::string> OwnCgroupProcs(const CgroupFs& cgroups) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile("/proc/self/cgroup"));
  for (const std::string& line : Split(text, '\n')) {
    // hierarchy:controllers:path, and 0::path for v2; cgroups(7)
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) {
      continue;
    }
    const std::string path = line.substr(second + 1);
    for (const std::string& controller : Split(line.substr(first + 1, second - first - 1), ',')) {
      if (cgroups.mode() == CgroupMode::kV2 ? controller.empty() : cgroups.has(controller)) {
        return JoinPath(cgroups.Dir(controller, path), "cgroup.procs");
      }
    }
  }
  return NotFound("this process is in no cgroup of a hierarchy that containers use");
}

CgroupMoves::CgroupMoves(std::string own_procs) : own_procs_(std::move(own_procs)) {}

CgroupMoves::~CgroupMoves() {
  ended_ = true;
}

void CgroupMoves::KeepQuick(std::chrono::milliseconds time) {
  if (own_procs_.empty()) {
    return;
  }
  const Clock::time_point wanted = Clock::now() + time;
  Clock::time_point until = until_;
  while (until < wanted && !until_.compare_exchange_weak(until, wanted)) {
  }
  if (!working_.exchange(true)) {
    executor_.Run([this] { Work(); });
  }
}

void CgroupMoves::Work() {
  bool can = Move();
  while (can && !ended_ && Clock::now() < until_.load()) {
    std::this_thread::sleep_for(kInterval);
    can = Move();
  }
  // A wish that comes just now is lost, which costs its maker one grace period.
  working_ = !can;  // never again where it fails
}

bool CgroupMoves::Move() const {
  const UniqueFd file(open(own_procs_.c_str(), O_WRONLY | O_CLOEXEC));
  const std::string pid = std::to_string(getpid());
  if (file.valid() && write(file.get(), pid.data(), pid.size()) >= 0) {
    return true;
  }
  log::Debug("moves between cgroups wait for the kernel: {}",
             Message(ErrnoStatus(errno, own_procs_)));
  return false;
}

}  // namespace davit
