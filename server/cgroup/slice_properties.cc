// SPDX-License-Identifier: Apache-2.0
#include "server/cgroup/slice_properties.h"

#include <algorithm>
#include <cstdint>

#include "base/status.h"
#include "base/text.h"
#include "server/cgroup/pod_resources.h"

namespace davit::server {
namespace {

using Resources = runtime::v1::LinuxContainerResources;
using Properties = std::vector<systemd::Property>;

constexpr uint64_t kUnlimited = UINT64_MAX;
constexpr uint64_t kSecond = 1'000'000;   // in microseconds
constexpr uint64_t kQuotaGrain = 10'000;  // systemd counts quotas in these
constexpr uint64_t kDefaultPeriod = 100'000;
constexpr uint64_t kMaxCpu = 8191;

uint64_t LimitOf(int64_t value) {
  return value < 0 ? kUnlimited : static_cast<uint64_t>(value);
}

// Microseconds of processor time for each second, rounded up so that nobody gets less than he has
// been promised.
uint64_t QuotaOf(uint64_t quota, uint64_t period) {
  const uint64_t per_second = quota * kSecond / period;
  return (per_second + kQuotaGrain - 1) / kQuotaGrain * kQuotaGrain;
}

void AddCpu(const Resources& resources, bool v2, Properties& properties) {
  if (const int64_t shares = resources.cpu_shares(); shares > 0) {
    properties.push_back(v2 ? systemd::Property{"CPUWeight", CpuWeightOf(shares)}
                            : systemd::Property{"CPUShares", static_cast<uint64_t>(shares)});
  }
  const auto period = static_cast<uint64_t>(std::max<int64_t>(resources.cpu_period(), 0));
  if (period > 0) {
    properties.push_back({"CPUQuotaPeriodUSec", period});
  }
  if (const int64_t quota = resources.cpu_quota(); quota != 0) {
    properties.push_back(
        {"CPUQuotaPerSecUSec",
         quota < 0 ? kUnlimited
                   : QuotaOf(static_cast<uint64_t>(quota), period > 0 ? period : kDefaultPeriod)});
  }
}

void AddMemory(const Resources& resources, bool v2, Properties& properties) {
  const int64_t limit = resources.memory_limit_in_bytes();
  const int64_t both = resources.memory_swap_limit_in_bytes();
  if (limit != 0) {
    properties.push_back({v2 ? "MemoryMax" : "MemoryLimit", LimitOf(limit)});
  }
  if (v2 && both != 0) {
    properties.push_back(
        {"MemorySwapMax", LimitOf(both < 0 ? both : both - std::max<int64_t>(limit, 0))});
  }
}

// "0-3,8" as one bit each, the lowest first.
absl::StatusOr<std::vector<uint8_t>> BitsOf(const std::string& list) {
  std::vector<uint8_t> bits;
  for (const std::string& part : Split(list, ',')) {
    const size_t dash = part.find('-');
    const auto first = ParseUint(Trim(part.substr(0, dash)));
    const auto last = dash == std::string::npos ? first : ParseUint(Trim(part.substr(dash + 1)));
    if (!first || !last || *first > *last || *last > kMaxCpu) {
      return InvalidArgument("{} is not a list of numbers and ranges", Printable(list, 200));
    }
    bits.resize(std::max<size_t>(bits.size(), *last / 8 + 1));
    for (uint64_t bit = *first; bit <= *last; ++bit) {
      bits[bit / 8] = static_cast<uint8_t>(bits[bit / 8] | (1U << (bit % 8)));
    }
  }
  return bits;
}

absl::Status AddSet(const char* property, const std::string& list, Properties& properties) {
  if (!list.empty()) {
    ASSIGN_OR_RETURN(auto bits, BitsOf(list));
    properties.push_back({property, std::move(bits)});
  }
  return absl::OkStatus();
}

// Files of cgroup v2 that hold one number or "max".
const char* PropertyOf(const std::string& file) {
  struct Row {
    const char* file;
    const char* property;
  };
  static constexpr Row kRows[] = {
      {"memory.min", "MemoryMin"},          {"memory.low", "MemoryLow"},
      {"memory.high", "MemoryHigh"},        {"memory.max", "MemoryMax"},
      {"memory.swap.max", "MemorySwapMax"}, {"pids.max", "TasksMax"},
      {"cpu.weight", "CPUWeight"},
  };
  for (const Row& row : kRows) {
    if (file == row.file) {
      return row.property;
    }
  }
  return nullptr;
}

absl::Status AddCpuMax(const std::string& text, Properties& properties) {
  const auto words = Words(text);
  const auto quota = words.empty() ? std::nullopt : ParseUint(words[0]);
  const auto period = words.size() > 1 ? ParseUint(words[1]) : kDefaultPeriod;
  if (words.empty() || (!quota && words[0] != "max") || !period || *period == 0) {
    return InvalidArgument("{} is neither a quota nor max, with a period", Printable(text, 100));
  }
  properties.push_back({"CPUQuotaPerSecUSec", quota ? QuotaOf(*quota, *period) : kUnlimited});
  properties.push_back({"CPUQuotaPeriodUSec", *period});
  return absl::OkStatus();
}

absl::Status AddUnified(const std::string& file, const std::string& value, Properties& properties) {
  if (file == "cpuset.cpus" || file == "cpuset.mems") {
    return AddSet(file == "cpuset.cpus" ? "AllowedCPUs" : "AllowedMemoryNodes", value, properties);
  }
  if (file == "cpu.max") {
    return AddCpuMax(value, properties);
  }
  if (const char* property = PropertyOf(file)) {
    const auto number = ParseUint(Trim(value));
    if (!number && Trim(value) != "max") {
      return InvalidArgument("{} is neither a number nor max", Printable(value, 100));
    }
    properties.push_back({property, number.value_or(kUnlimited)});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Properties> SliceProperties(const Resources& resources, bool cgroup_v2) {
  Properties properties;
  AddCpu(resources, cgroup_v2, properties);
  AddMemory(resources, cgroup_v2, properties);
  if (cgroup_v2) {
    RETURN_IF_ERROR(Annotate(AddSet("AllowedCPUs", resources.cpuset_cpus(), properties),
                             "resources.cpuset_cpus"));
    RETURN_IF_ERROR(Annotate(AddSet("AllowedMemoryNodes", resources.cpuset_mems(), properties),
                             "resources.cpuset_mems"));
    for (const auto& [file, value] : resources.unified()) {
      RETURN_IF_ERROR(Annotate(AddUnified(file, value, properties), "resources.unified " + file));
    }
  }
  return properties;
}

}  // namespace davit::server
