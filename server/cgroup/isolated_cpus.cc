// SPDX-License-Identifier: Apache-2.0
#include "server/cgroup/isolated_cpus.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::server {
namespace {

constexpr char kController[] = "cpuset";
constexpr char kBalance[] = "cpuset.sched_load_balance";
constexpr char kExclusive[] = "cpuset.cpus.exclusive";
constexpr char kPartition[] = "cpuset.cpus.partition";
constexpr char kIsolated[] = "isolated";

// "/a", "/a/b" of "/a/b/c".
std::vector<std::string> AncestorsOf(const std::string& cgroup) {
  std::vector<std::string> ancestors;
  for (size_t end = cgroup.find('/', 1); end != std::string::npos;
       end = cgroup.find('/', end + 1)) {
    ancestors.push_back(cgroup.substr(0, end));
  }
  return ancestors;
}

absl::StatusOr<CpuSet> ReadCpus(const CgroupFs& fs, const std::string& cgroup,
                                const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, fs.Read(kController, cgroup, file));
  return ParseCpuList(text);
}

// A line break where there is none left: nothing written is nothing said.
absl::Status WriteCpus(const CgroupFs& fs, const std::string& cgroup, const std::string& file,
                       const CpuSet& cpus) {
  return fs.Write(kController, cgroup, file, cpus.empty() ? "\n" : CpuListText(cpus));
}

}  // namespace

absl::Status IsolatedCpus::Isolate(const std::string& container_cgroup, const CpuSet& cpus) {
  if (!fs_.has(kController)) {
    return FailedPrecondition("CPUs {} without load balancing: this node has no cpuset controller",
                              CpuListText(cpus));
  }
  if (fs_.mode() != CgroupMode::kV2) {
    return IsolateV1(container_cgroup);
  }
  absl::MutexLock lock(&mutex_);
  const absl::Status isolated = IsolateV2(container_cgroup, cpus);
  return Annotate(WithCode(absl::StatusCode::kFailedPrecondition, isolated),
                  "CPUs " + CpuListText(cpus) + " without load balancing");
}

absl::Status IsolatedCpus::IsolateV1(const std::string& cgroup) {
  RETURN_IF_ERROR(fs_.Write(kController, cgroup, kBalance, "0"));
  std::vector<std::string> above = AncestorsOf(cgroup);
  above.insert(above.begin(), "/");
  for (const std::string& ancestor : above) {
    const auto balanced = fs_.Read(kController, ancestor, kBalance);
    if (balanced.ok() && Trim(*balanced) != "0") {
      log::Warning(
          "cgroup {} is without load balancing to no effect: {} of {} is on; turn it off there",
          cgroup, kBalance, ancestor);
      break;
    }
  }
  return absl::OkStatus();
}

absl::Status IsolatedCpus::IsolateV2(const std::string& cgroup, const CpuSet& cpus) {
  for (const std::string& ancestor : AncestorsOf(cgroup)) {
    auto exclusive = ReadCpus(fs_, ancestor, kExclusive);
    if (absl::IsNotFound(exclusive.status())) {
      return FailedPrecondition("{} has no {}: it takes Linux 6.7 and the cpuset controller there",
                                ancestor, kExclusive);
    }
    RETURN_IF_ERROR(exclusive.status());
    CpuSet with = *exclusive;
    with.insert(cpus.begin(), cpus.end());
    if (with != *exclusive) {
      RETURN_IF_ERROR(WriteCpus(fs_, ancestor, kExclusive, with));
    }
  }
  RETURN_IF_ERROR(WriteCpus(fs_, cgroup, kExclusive, cpus));
  RETURN_IF_ERROR(fs_.Write(kController, cgroup, kPartition, kIsolated));
  // The kernel takes what it is told and says here whether it could do it: "isolated invalid (…)".
  ASSIGN_OR_RETURN(const std::string now, fs_.Read(kController, cgroup, kPartition));
  if (Trim(now) != kIsolated) {
    return FailedPrecondition("{} of {} is \"{}\"", kPartition, cgroup, Printable(Trim(now)));
  }
  return absl::OkStatus();
}

absl::Status IsolatedCpus::Release(const std::string& container_cgroup, const CpuSet& cpus) {
  if (fs_.mode() != CgroupMode::kV2) {
    return absl::OkStatus();
  }
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> ancestors = AncestorsOf(container_cgroup);
  std::reverse(ancestors.begin(), ancestors.end());  // none may have less than what is below it
  for (const std::string& ancestor : ancestors) {
    const auto exclusive = ReadCpus(fs_, ancestor, kExclusive);
    if (absl::IsNotFound(exclusive.status())) {
      continue;  // gone with the pod
    }
    RETURN_IF_ERROR(exclusive.status());
    CpuSet without;
    std::set_difference(exclusive->begin(), exclusive->end(), cpus.begin(), cpus.end(),
                        std::inserter(without, without.end()));
    if (without != *exclusive) {
      RETURN_IF_ERROR(WriteCpus(fs_, ancestor, kExclusive, without));
    }
  }
  return absl::OkStatus();
}

}  // namespace davit::server
