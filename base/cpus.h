// SPDX-License-Identifier: Apache-2.0
//
// Sets of CPUs as the kernel writes them (Documentation/admin-guide/cputopology.rst), and the CPUs
// that a thread may run on.
#pragma once

#include <sys/types.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace davit {

using CpuSet = std::set<int>;

inline constexpr int kMaxCpus = 8192;  // the largest NR_CPUS that the kernel can be built with

// "0-2,7"; white space around it is left out, "" is the empty set. InvalidArgument.
absl::StatusOr<CpuSet> ParseCpuList(std::string_view text);
// The shortest list: "0-2,7".
[[nodiscard]] std::string CpuListText(const CpuSet& cpus);

// "ff,00000001": hexadecimal words of 32 bits, the last of them CPUs 0 to 31. InvalidArgument.
absl::StatusOr<CpuSet> ParseCpuMask(std::string_view text);
[[nodiscard]] std::string CpuMaskText(const CpuSet& cpus);

// As sched_setaffinity(2) takes it.
[[nodiscard]] std::vector<unsigned long> AffinityMask(const CpuSet& cpus);

// Of one thread (0: the caller); what it starts from then on inherits it. The kernel takes those of
// the CPUs that the thread's cpuset has: InvalidArgument if that is none. NotFound if there is no
// such thread. From Linux 6.2 on it is kept, as far as the cpuset then allows, when the thread is
// moved to another cpuset; before, it is forgotten.
absl::Status SetAffinity(pid_t thread, const CpuSet& cpus);
absl::StatusOr<CpuSet> GetAffinity(pid_t thread);

}  // namespace davit
