// SPDX-License-Identifier: Apache-2.0
//
// Keeps interrupts away from CPUs that containers have for themselves: takes the CPUs out of the
// mask that new interrupts get (/proc/irq/default_smp_affinity, Documentation/core-api/irq/
// irq-affinity.rst), and bans them in the configuration of irqbalance, which moves those that there
// are. What others have written to either stays: only CPUs that were taken here are given back.
//
// What is taken stands in a file (JSON) before it is, so that a daemon that comes back, also after
// a reboot, knows what to give back. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "base/cpus.h"

namespace davit::server {

class IrqAffinity {
 public:
  struct Options {
    std::string default_mask = "/proc/irq/default_smp_affinity";
    std::string irqbalance_config = {};  // "": there is none
    std::string state = {};              // the file of what is taken
    // Has irqbalance read its configuration again; a failure is logged.
    std::function<absl::Status()> restart_irqbalance = {};
  };
  explicit IrqAffinity(Options options) : options_(std::move(options)) {}

  // At the daemon's start, for each container that runs on; changes nothing before Restore.
  void Claim(const std::string& container, const CpuSet& cpus);
  // After those: takes what was claimed, gives back what an earlier daemon took for others.
  absl::Status Restore();

  // FailedPrecondition if no CPU would be left for interrupts. On failure nothing is taken.
  absl::Status Take(const std::string& container, const CpuSet& cpus);
  // One that has taken nothing is success.
  absl::Status GiveBack(const std::string& container);

 private:
  // What of the masks is ours.
  struct Taken {
    CpuSet of_default;
    CpuSet of_irqbalance;
  };

  absl::Status Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Save(const Taken& taken) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Apply() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ApplyDefault(const CpuSet& wanted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ApplyIrqbalance(const CpuSet& wanted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  absl::Mutex mutex_;
  bool restored_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, CpuSet> claims_ ABSL_GUARDED_BY(mutex_);
  Taken taken_ ABSL_GUARDED_BY(mutex_);
};

namespace internal {
// IRQBALANCE_BANNED_CPULIST, or else IRQBALANCE_BANNED_CPUS, of an environment file as irqbalance
// is given. InvalidArgument for a value that is neither list nor mask.
absl::StatusOr<CpuSet> BannedCpus(const std::string& text);
// The same file with others banned.
std::string WithBannedCpus(const std::string& text, const CpuSet& cpus);
}  // namespace internal

}  // namespace davit::server
