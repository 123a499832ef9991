// SPDX-License-Identifier: Apache-2.0
#include "server/cgroup/pod_resources.h"

#include <algorithm>
#include <cstdint>

#include "base/status.h"
#include "base/text.h"
#include "server/spec/spec.h"

namespace davit::server {
namespace {

using Resources = runtime::v1::LinuxContainerResources;

constexpr int64_t kDefaultPeriod = 100'000;  // of the kernel, in microseconds

class Writer {
 public:
  Writer(const CgroupFs& fs, const std::string& cgroup)
      : fs_(fs), cgroup_(cgroup), v2_(fs.mode() == CgroupMode::kV2) {}

  absl::Status Cpu(const Resources& resources) const {
    if (const int64_t shares = resources.cpu_shares(); shares > 0) {
      RETURN_IF_ERROR(v2_ ? Set("cpu", "cpu.weight", CpuWeightOf(shares))
                          : Set("cpu", "cpu.shares", shares));
    }
    const int64_t period = resources.cpu_period();
    const int64_t quota = resources.cpu_quota();
    if (v2_) {
      return quota == 0 ? absl::OkStatus() : SetCpuMax(quota, period);
    }
    if (period > 0) {
      RETURN_IF_ERROR(Set("cpu", "cpu.cfs_period_us", period));
    }
    return quota == 0 ? absl::OkStatus() : Set("cpu", "cpu.cfs_quota_us", quota);
  }

  absl::Status Cpuset(const Resources& resources) const {
    if (!resources.cpuset_cpus().empty()) {
      RETURN_IF_ERROR(Set("cpuset", "cpuset.cpus", resources.cpuset_cpus()));
    }
    return resources.cpuset_mems().empty() ? absl::OkStatus()
                                           : Set("cpuset", "cpuset.mems", resources.cpuset_mems());
  }

  absl::Status Memory(const Resources& resources) const {
    const int64_t limit = resources.memory_limit_in_bytes();
    const int64_t both = resources.memory_swap_limit_in_bytes();
    return v2_ ? MemoryV2(limit, both) : MemoryV1(limit, both);
  }

  absl::Status Hugepages(const Resources& resources) const {
    for (const auto& limit : resources.hugepage_limits()) {
      if (fs_.has("hugetlb")) {
        RETURN_IF_ERROR(Set("hugetlb",
                            "hugetlb." + limit.page_size() + (v2_ ? ".max" : ".limit_in_bytes"),
                            limit.limit()));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Unified(const Resources& resources) const {
    for (const auto& [file, value] : resources.unified()) {
      RETURN_IF_ERROR(fs_.Write("", cgroup_, file, value));
    }
    return absl::OkStatus();
  }

 private:
  template <typename Value>
  absl::Status Set(const char* controller, const std::string& file, const Value& value) const {
    return fs_.Write(controller, cgroup_, file, fmt::format("{}", value));
  }

  absl::Status SetCpuMax(int64_t quota, int64_t period) const {
    const std::string limit = quota < 0 ? "max" : std::to_string(quota);
    return Set("cpu", "cpu.max", period > 0 ? fmt::format("{} {}", limit, period) : limit);
  }

  absl::Status MemoryV1(int64_t limit, int64_t both) const {
    constexpr char kLimit[] = "memory.limit_in_bytes";
    constexpr char kBoth[] = "memory.memsw.limit_in_bytes";
    // Neither may pass the other on its way: up, the outer goes first; down, the inner.
    const bool outer_first = both != 0 && Set("memory", kBoth, both).ok();
    if (limit != 0) {
      RETURN_IF_ERROR(Set("memory", kLimit, limit));
    }
    return both == 0 || outer_first ? absl::OkStatus() : Set("memory", kBoth, both);
  }

  absl::Status MemoryV2(int64_t limit, int64_t both) const {
    const auto text = [](int64_t value) {
      return value < 0 ? std::string("max") : std::to_string(value);
    };
    if (limit != 0) {
      RETURN_IF_ERROR(Set("memory", "memory.max", text(limit)));
    }
    return both == 0 ? absl::OkStatus()
                     : Set("memory", "memory.swap.max",
                           text(both < 0 ? both : both - std::max<int64_t>(limit, 0)));
  }

  const CgroupFs& fs_;
  const std::string& cgroup_;
  const bool v2_;
};

// Unset on either side: nothing to add, or nothing to add to.
int64_t Sum(int64_t limit, int64_t more) {
  return limit > 0 && more > 0 ? limit + more : limit;
}

}  // namespace

Resources AddOverhead(const Resources& resources, const Resources& overhead) {
  Resources sum = resources;
  sum.set_cpu_shares(Sum(resources.cpu_shares(), overhead.cpu_shares()));
  sum.set_memory_limit_in_bytes(
      Sum(resources.memory_limit_in_bytes(), overhead.memory_limit_in_bytes()));
  sum.set_memory_swap_limit_in_bytes(
      Sum(resources.memory_swap_limit_in_bytes(), overhead.memory_limit_in_bytes()));
  if (resources.cpu_quota() > 0 && overhead.cpu_quota() > 0) {
    const auto period_of = [](const Resources& one) {
      return one.cpu_period() > 0 ? one.cpu_period() : kDefaultPeriod;
    };
    sum.set_cpu_quota(resources.cpu_quota() +
                      overhead.cpu_quota() * period_of(resources) / period_of(overhead));
  }
  return sum;
}

uint64_t CpuWeightOf(int64_t shares) {
  const int64_t bounded = std::clamp<int64_t>(shares, 2, 262'144);
  return static_cast<uint64_t>(1 + (bounded - 2) * 9999 / 262'142);
}

absl::Status CheckPodResources(const CgroupFs& fs, const std::string& cgroup,
                               const Resources& resources) {
  // The same checks as for a container.
  RETURN_IF_ERROR(spec::UpdateResources(resources, fs.mode() == CgroupMode::kV2).status());
  const int64_t limit = resources.memory_limit_in_bytes();
  if (limit <= 0) {
    return absl::OkStatus();
  }
  // On v2 the kernel would take the limit, and kill.
  const auto used = ReadCgroupStats(fs, cgroup);
  if (used.ok() && used->memory_working_set > static_cast<uint64_t>(limit)) {
    return FailedPrecondition(
        "resources.memory_limit_in_bytes {}: the pod uses {} bytes, which could not be taken "
        "from it without killing",
        limit, used->memory_working_set);
  }
  return absl::OkStatus();
}

absl::Status ApplyPodResources(const CgroupFs& fs, const std::string& cgroup,
                               const Resources& resources) {
  RETURN_IF_ERROR(CheckPodResources(fs, cgroup, resources));
  const Writer writer(fs, cgroup);
  RETURN_IF_ERROR(writer.Memory(resources));
  RETURN_IF_ERROR(writer.Cpu(resources));
  RETURN_IF_ERROR(writer.Cpuset(resources));
  RETURN_IF_ERROR(writer.Hugepages(resources));
  return writer.Unified(resources);
}

}  // namespace davit::server
