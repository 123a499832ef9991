// SPDX-License-Identifier: Apache-2.0
#include "server/stats/pod_metrics.h"

#include <optional>
#include <string>

#include "base/cgroup_details.h"
#include "base/file.h"
#include "base/text.h"
#include "base/time.h"
#include "server/stats/metric_table.h"
#include "server/stats/process_counts.h"
#include "server/stats/usage.h"
#include "server/stats/writable_usage.h"

namespace davit::server {
namespace {

constexpr uint64_t kNanosPerSecond = 1'000'000'000;
constexpr uint64_t kMicrosPerSecond = 1'000'000;

struct Source {
  const Usage& usage;
  const CgroupDetails& details;
};

void AddCpu(const Source& source, MetricWriter& out) {
  const CgroupDetails& details = source.details;
  out.Add(Metric::kCpuUser, details.cpu_user_ns / kNanosPerSecond);
  out.Add(Metric::kCpuSystem, details.cpu_system_ns / kNanosPerSecond);
  out.Add(Metric::kCpuUsage, source.usage.stats.cpu_usage_ns / kNanosPerSecond, {"total"});
  out.Add(Metric::kCpuPeriods, details.cpu_periods);
  out.Add(Metric::kCpuThrottledPeriods, details.cpu_throttled_periods);
  out.Add(Metric::kCpuThrottled, details.cpu_throttled_ns / kNanosPerSecond);
}

void AddMemory(const Source& source, MetricWriter& out) {
  const CgroupStats& stats = source.usage.stats;
  const CgroupDetails& details = source.details;
  out.Add(Metric::kMemoryCache, details.memory_cache);
  out.Add(Metric::kMemoryRss, stats.memory_rss);
  out.Add(Metric::kMemoryKernel, details.memory_kernel);
  out.Add(Metric::kMemoryMappedFile, details.memory_mapped_file);
  out.Add(Metric::kMemorySwap, stats.swap_usage);
  out.Add(Metric::kMemoryLimitHits, details.memory_limit_hits);
  out.Add(Metric::kMemoryUsage, stats.memory_usage);
  out.Add(Metric::kMemoryMaxUsage, details.memory_max_usage);
  out.Add(Metric::kMemoryWorkingSet, stats.memory_working_set);
  const auto faults = [&out](const char* type, uint64_t all, std::optional<uint64_t> own) {
    out.Add(Metric::kMemoryFailures, own.value_or(all), {type, "container"});
    out.Add(Metric::kMemoryFailures, all, {type, "hierarchy"});
  };
  faults("pgfault", stats.memory_page_faults, details.own_page_faults);
  faults("pgmajfault", stats.memory_major_page_faults, details.own_major_page_faults);
  out.Add(Metric::kOomEvents, details.oom_kills);
  for (const HugepageUse& pages : details.hugepages) {
    out.Add(Metric::kHugetlbUsage, pages.usage, {pages.page_size});
    out.Add(Metric::kHugetlbMaxUsage, pages.max_usage, {pages.page_size});
  }
}

// "/dev/sda", as cAdvisor has it; the numbers where sysfs does not say.
std::string DeviceName(const BlockDeviceIo& io) {
  const std::string numbers = std::to_string(io.major) + ":" + std::to_string(io.minor);
  constexpr std::string_view kKey = "DEVNAME=";
  const auto uevent = ReadFile("/sys/dev/block/" + numbers + "/uevent");
  for (const std::string& line : Split(uevent.value_or(""), '\n')) {
    if (line.starts_with(kKey)) {
      return "/dev/" + line.substr(kKey.size());
    }
  }
  return numbers;
}

void AddBlockDevices(const Source& source, MetricWriter& out) {
  for (const BlockDeviceIo& io : source.details.block_devices) {
    const std::string device = DeviceName(io);
    const std::string major = std::to_string(io.major);
    const std::string minor = std::to_string(io.minor);
    out.Add(Metric::kBlkioUsage, io.read_bytes, {device, major, minor, "Read"});
    out.Add(Metric::kBlkioUsage, io.write_bytes, {device, major, minor, "Write"});
    out.Add(Metric::kFsReadBytes, io.read_bytes, {device});
    out.Add(Metric::kFsReads, io.reads, {device});
    out.Add(Metric::kFsWriteBytes, io.write_bytes, {device});
    out.Add(Metric::kFsWrites, io.writes, {device});
  }
}

void AddPressure(const Source& source, MetricWriter& out) {
  const auto add = [&out](const std::optional<Pressure>& pressure, Metric stalled, Metric waiting) {
    if (pressure) {
      out.Add(stalled, pressure->full.total_us / kMicrosPerSecond);
      out.Add(waiting, pressure->some.total_us / kMicrosPerSecond);
    }
  };
  const CgroupPressure& pressure = source.usage.pressure;
  add(pressure.cpu, Metric::kPressureCpuStalled, Metric::kPressureCpuWaiting);
  add(pressure.memory, Metric::kPressureMemoryStalled, Metric::kPressureMemoryWaiting);
  add(pressure.io, Metric::kPressureIoStalled, Metric::kPressureIoWaiting);
}

void AddFileSystem(Node& node, const Container::Record& record, MetricWriter& out) {
  const auto usage = node.usage.Get(record.id());
  if (!usage) {
    return;
  }
  out.Add(Metric::kFsUsage, usage->used_bytes, {usage->mountpoint});
  if (const auto capacity = node.usage.Capacity()) {
    out.Add(Metric::kFsInodesFree, capacity->inodes_free, {usage->mountpoint});
    out.Add(Metric::kFsInodesTotal, capacity->inodes, {usage->mountpoint});
    out.Add(Metric::kFsLimit, capacity->bytes, {usage->mountpoint});
  }
}

void AddProcesses(const Node& node, const Container::Record& record, const Source& source,
                  MetricWriter& out) {
  const auto pids = node.cgroups.Pids(record.cgroup());
  if (!pids.ok()) {
    return;
  }
  const ProcessCounts open = CountOpen(*pids);
  out.Add(Metric::kFileDescriptors, open.descriptors);
  out.Add(Metric::kSockets, open.sockets);
  out.Add(Metric::kProcesses, pids->size());
  out.Add(Metric::kThreads, source.usage.stats.pids);
  out.Add(Metric::kThreadsMax, source.details.pids_limit.value_or(0));
  if (const auto limit = OpenFilesLimit(record.pid())) {
    out.Add(Metric::kUlimitsSoft, *limit, {"max_open_files"});
  }
}

uint64_t NotNegative(int64_t value) {
  return value > 0 ? static_cast<uint64_t>(value) : 0;
}

void AddSpec(const Container::Record& record, const Source& source, MetricWriter& out) {
  const auto& resources = record.config().linux().resources();
  out.Add(Metric::kLastSeen, NotNegative(NowNanos()) / kNanosPerSecond);
  out.Add(Metric::kStartTime, NotNegative(record.started_at()) / kNanosPerSecond);
  out.Add(Metric::kSpecCpuPeriod, NotNegative(resources.cpu_period()));
  out.Add(Metric::kSpecCpuQuota, NotNegative(resources.cpu_quota()));
  out.Add(Metric::kSpecCpuShares, NotNegative(resources.cpu_shares()));
  out.Add(Metric::kSpecMemoryLimit, NotNegative(resources.memory_limit_in_bytes()));
  out.Add(Metric::kSpecMemoryReservation, source.details.memory_soft_limit);
  out.Add(Metric::kSpecMemorySwapLimit, NotNegative(resources.memory_swap_limit_in_bytes()));
}

MetricLabels LabelsOf(const Sandbox::Record& pod) {
  const auto& metadata = pod.config().metadata();
  return {.cgroup = pod.cgroup(),
          .id = pod.id(),
          .image = "",
          .container = "POD",  // as cAdvisor calls what belongs to no container
          .pod = metadata.name(),
          .name_space = metadata.namespace_()};
}

void AddContainer(Node& node, const Sandbox::Record& pod, const Container::Record& record,
                  runtime::v1::PodSandboxMetrics& metrics) {
  const auto usage = ReadUsage(node, record.id(), record.cgroup());
  const auto details = ReadCgroupDetails(node.cgroups, record.cgroup());
  if (!usage.ok() || !details.ok()) {
    return;  // it has ended
  }
  MetricLabels labels = LabelsOf(pod);
  labels.cgroup = record.cgroup();
  labels.id = record.id();
  labels.image = record.image_ref();
  labels.container = record.config().metadata().name();
  auto& container = *metrics.add_container_metrics();
  container.set_container_id(record.id());
  MetricWriter out(labels, usage->stats.timestamp_ns, *container.mutable_metrics());
  const Source source{*usage, *details};
  AddCpu(source, out);
  AddMemory(source, out);
  AddBlockDevices(source, out);
  AddPressure(source, out);
  AddFileSystem(node, record, out);
  AddProcesses(node, record, source, out);
  AddSpec(record, source, out);
}

void AddNetwork(const Sandbox::Record& pod, const NetCounters& network,
                runtime::v1::PodSandboxMetrics& metrics) {
  const MetricLabels labels = LabelsOf(pod);
  MetricWriter out(labels, network.timestamp_ns, *metrics.mutable_metrics());
  for (const InterfaceCounters& each : network.interfaces) {
    out.Add(Metric::kNetRxBytes, each.rx_bytes, {each.name});
    out.Add(Metric::kNetRxPackets, each.rx_packets, {each.name});
    out.Add(Metric::kNetRxDropped, each.rx_dropped, {each.name});
    out.Add(Metric::kNetRxErrors, each.rx_errors, {each.name});
    out.Add(Metric::kNetTxBytes, each.tx_bytes, {each.name});
    out.Add(Metric::kNetTxPackets, each.tx_packets, {each.name});
    out.Add(Metric::kNetTxDropped, each.tx_dropped, {each.name});
    out.Add(Metric::kNetTxErrors, each.tx_errors, {each.name});
  }
}

}  // namespace

runtime::v1::PodSandboxMetrics MetricsOf(Node& node, const Sandbox::Record& record,
                                         const NetCounters& network) {
  runtime::v1::PodSandboxMetrics metrics;
  metrics.set_pod_sandbox_id(record.id());
  AddNetwork(record, network, metrics);
  for (const auto& container : node.containers.ListOf(record.id())) {
    const auto container_record = container->record();
    if (container_record->state() == davit::state::v1::CONTAINER_RUNNING) {
      AddContainer(node, record, *container_record, metrics);
    }
  }
  return metrics;
}

}  // namespace davit::server
