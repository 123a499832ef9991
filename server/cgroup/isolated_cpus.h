// SPDX-License-Identifier: Apache-2.0
//
// CPUs without load balancing: the scheduler moves no process from or to them of its own accord
// (Documentation/admin-guide/cgroup-v1/cpusets.rst, cgroup-v2.rst).
//
// On v2 the container's cgroup becomes an isolated partition. It is a remote one (Linux 6.7): its
// ancestors only have to name the CPUs in cpuset.cpus.exclusive, and stay what they are. On v1
// cpuset.sched_load_balance is turned off; that takes effect where it is off in all cgroups above,
// too, which is the node's to arrange (a warning says where it is not).
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "base/cgroup.h"
#include "base/cpus.h"

namespace davit::server {

// Thread-safe.
class IsolatedCpus {
 public:
  explicit IsolatedCpus(const CgroupFs& fs) : fs_(fs) {}

  // For a container that runs; `cpus` are its cpuset. FailedPrecondition says what kernel or node
  // lack.
  absl::Status Isolate(const std::string& container_cgroup, const CpuSet& cpus);
  // After the container's cgroup is gone: what its ancestors were told of it.
  absl::Status Release(const std::string& container_cgroup, const CpuSet& cpus);

 private:
  absl::Status IsolateV1(const std::string& cgroup);
  absl::Status IsolateV2(const std::string& cgroup, const CpuSet& cpus)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const CgroupFs& fs_;
  absl::Mutex mutex_;  // containers have ancestors in common, whose files are read and written
};

}  // namespace davit::server
