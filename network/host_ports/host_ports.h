// SPDX-License-Identifier: Apache-2.0
//
// Host ports of pods whose network has no plugin for them, by nftables: a port of the node leads to
// a port of a pod, for others on the network, for pods, and for the node itself.
//
// What is to be published is in memory, filled from the records of the pods at the start (Load);
// what is in the kernel is always the whole of it, in one table that one transaction replaces
// (ruleset.h). So a change also repairs, and Check() repairs what others did to it. The kernel
// keeps the ports while no daemon runs. Thread-safe; all in the network namespace of the calling
// thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "base/context.h"
#include "network/host_ports/port_table.h"

namespace davit::network {

class HostPorts {
 public:
  // What was published before this process began. Nothing is written before the next Check(), or
  // change.
  void Load(const std::vector<PublishedPod>& pods);

  // The pod's ports lead to it when this returns; idempotent. AlreadyExists names the port and the
  // pod that has it; the errors of HostPortsOf and nft::Apply. On failure nothing is published.
  absl::Status Publish(Context& ctx, const PublishedPod& pod);
  // A pod that is not published is success. On failure it still is, and a retry is due.
  absl::Status Withdraw(Context& ctx, const std::string& pod_id);

  // Whether Check() may have something to do. Some microseconds, never waits.
  [[nodiscard]] bool MayDiffer() const;
  // Brings the kernel to what is to be published: after Load(), after a failure, and when somebody
  // flushed the ruleset. A kernel without nftables is success while nothing is to be published; the
  // log says so once.
  absl::Status Check(Context& ctx);

 private:
  [[nodiscard]] std::vector<HostPort> All() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckFree(const PublishedPod& pod, const std::vector<HostPort>& ports) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Apply(Context& ctx) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> IsIntact(Context& ctx) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool NothingCanBeThere() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  struct Entry {
    std::string name;
    std::vector<HostPort> ports;
  };

  absl::Mutex mutex_;  // held while nft runs
  std::map<std::string, Entry> pods_ ABSL_GUARDED_BY(mutex_);
  bool told_ ABSL_GUARDED_BY(mutex_) = false;  // that the kernel has no nftables

  // For MayDiffer(), which must not wait for nft.
  std::atomic<bool> used_{false};             // there are ports, or there may be some in the kernel
  std::atomic<bool> dirty_{false};            // the kernel may have others than ours
  std::atomic<uint32_t> seen_generation_{0};  // of the ruleset, when it was last found intact
};

}  // namespace davit::network
