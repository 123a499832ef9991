// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "server/stats/stats_rpcs.h"
#include "server/stats/writable_usage.h"

namespace davit::server {
namespace {

void FillCpu(const CgroupStats& stats, runtime::v1::CpuUsage& cpu) {
  cpu.set_timestamp(stats.timestamp_ns);
  cpu.mutable_usage_core_nano_seconds()->set_value(stats.cpu_usage_ns);
}

void FillMemory(const CgroupStats& stats, runtime::v1::MemoryUsage& memory) {
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
}

void FillSwap(const CgroupStats& stats, runtime::v1::SwapUsage& swap) {
  swap.set_timestamp(stats.timestamp_ns);
  swap.mutable_swap_usage_bytes()->set_value(stats.swap_usage);
  if (stats.swap_limit) {
    const uint64_t used = std::min(*stats.swap_limit, stats.swap_usage);
    swap.mutable_swap_available_bytes()->set_value(*stats.swap_limit - used);
  }
}

}  // namespace

runtime::v1::ContainerStats StatsOf(Node& node, const Container::Record& record) {
  runtime::v1::ContainerStats out;
  auto& attributes = *out.mutable_attributes();
  attributes.set_id(record.id());
  *attributes.mutable_metadata() = record.config().metadata();
  *attributes.mutable_labels() = record.config().labels();
  *attributes.mutable_annotations() = record.config().annotations();
  if (auto stats = ReadCgroupStats(node.cgroups, record.cgroup()); stats.ok()) {
    FillCpu(*stats, *out.mutable_cpu());
    FillMemory(*stats, *out.mutable_memory());
    FillSwap(*stats, *out.mutable_swap());
  }
  if (const auto usage = node.usage.Get(record.id())) {
    auto& layer = *out.mutable_writable_layer();
    layer.set_timestamp(usage->timestamp_ns);
    layer.mutable_fs_id()->set_mountpoint(usage->mountpoint);
    layer.mutable_used_bytes()->set_value(usage->used_bytes);
    layer.mutable_inodes_used()->set_value(usage->inodes_used);
  }
  return out;
}

absl::StatusOr<runtime::v1::ContainerStatsResponse> ContainerStats(
    Node& node, Context& /*ctx*/, const runtime::v1::ContainerStatsRequest& request) {
  ASSIGN_OR_RETURN(const auto container, node.containers.Find(request.container_id()));
  runtime::v1::ContainerStatsResponse response;
  *response.mutable_stats() = StatsOf(node, *container->record());
  return response;
}

}  // namespace davit::server
