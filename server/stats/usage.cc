// SPDX-License-Identifier: Apache-2.0
#include "server/stats/usage.h"

#include <algorithm>

#include "base/status.h"
#include "server/stats/cpu_rates.h"

namespace davit::server {
namespace {

void FillLine(const Pressure::Line& line, runtime::v1::PsiData& data) {
  data.set_total(line.total_us);
  data.set_avg10(line.avg10);
  data.set_avg60(line.avg60);
  data.set_avg300(line.avg300);
}

template <typename Message>
void FillPressure(const std::optional<Pressure>& pressure, Message& message) {
  if (pressure) {
    FillLine(pressure->full, *message.mutable_psi()->mutable_full());
    FillLine(pressure->some, *message.mutable_psi()->mutable_some());
  }
}

}  // namespace

absl::StatusOr<Usage> ReadUsage(Node& node, const std::string& id, const std::string& cgroup) {
  Usage usage;
  ASSIGN_OR_RETURN(usage.stats, ReadCgroupStats(node.cgroups, cgroup));
  usage.pressure = ReadCgroupPressure(node.cgroups, cgroup);
  usage.cpu_rate = node.cpu_rates.Observe(id, usage.stats.timestamp_ns, usage.stats.cpu_usage_ns);
  return usage;
}

void FillCpu(const Usage& usage, runtime::v1::CpuUsage& cpu) {
  cpu.set_timestamp(usage.stats.timestamp_ns);
  cpu.mutable_usage_core_nano_seconds()->set_value(usage.stats.cpu_usage_ns);
  if (usage.cpu_rate) {
    cpu.mutable_usage_nano_cores()->set_value(*usage.cpu_rate);
  }
  FillPressure(usage.pressure.cpu, cpu);
}

void FillMemory(const Usage& usage, runtime::v1::MemoryUsage& memory) {
  const CgroupStats& stats = usage.stats;
  memory.set_timestamp(stats.timestamp_ns);
  memory.mutable_usage_bytes()->set_value(stats.memory_usage);
  memory.mutable_working_set_bytes()->set_value(stats.memory_working_set);
  memory.mutable_rss_bytes()->set_value(stats.memory_rss);
  memory.mutable_page_faults()->set_value(stats.memory_page_faults);
  memory.mutable_major_page_faults()->set_value(stats.memory_major_page_faults);
  if (stats.memory_limit) {
    const uint64_t used = std::min(*stats.memory_limit, stats.memory_working_set);
    memory.mutable_available_bytes()->set_value(*stats.memory_limit - used);
  }
  FillPressure(usage.pressure.memory, memory);
}

void FillSwap(const Usage& usage, runtime::v1::SwapUsage& swap) {
  const CgroupStats& stats = usage.stats;
  swap.set_timestamp(stats.timestamp_ns);
  swap.mutable_swap_usage_bytes()->set_value(stats.swap_usage);
  if (stats.swap_limit) {
    const uint64_t used = std::min(*stats.swap_limit, stats.swap_usage);
    swap.mutable_swap_available_bytes()->set_value(*stats.swap_limit - used);
  }
}

void FillIo(const Usage& usage, runtime::v1::IoUsage& io) {
  io.set_timestamp(usage.stats.timestamp_ns);
  FillPressure(usage.pressure.io, io);
}

}  // namespace davit::server
