// SPDX-License-Identifier: Apache-2.0
#include "server/stats/cpu_rates.h"

namespace davit::server {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

}  // namespace

std::optional<uint64_t> CpuRates::Observe(const std::string& id, int64_t timestamp_ns,
                                          uint64_t usage_ns) {
  absl::MutexLock lock(&mutex_);
  const auto [it, fresh] = samples_.try_emplace(id, Sample{timestamp_ns, usage_ns, std::nullopt});
  Sample& last = it->second;
  const int64_t elapsed = timestamp_ns - last.timestamp_ns;
  if (fresh || elapsed < kSecond) {
    return last.rate;
  }
  const double used = usage_ns > last.usage_ns ? static_cast<double>(usage_ns - last.usage_ns) : 0;
  last = {timestamp_ns, usage_ns,
          static_cast<uint64_t>(used * kSecond / static_cast<double>(elapsed))};
  return last.rate;
}

void CpuRates::Forget(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  samples_.erase(id);
}

}  // namespace davit::server
