// SPDX-License-Identifier: Apache-2.0
#include "server/stats/stats_rpcs.h"
#include "server/stats/usage.h"
#include "server/stats/writable_usage.h"

namespace davit::server {

runtime::v1::ContainerStats StatsOf(Node& node, const Container::Record& record) {
  runtime::v1::ContainerStats out;
  auto& attributes = *out.mutable_attributes();
  attributes.set_id(record.id());
  *attributes.mutable_metadata() = record.config().metadata();
  *attributes.mutable_labels() = record.config().labels();
  *attributes.mutable_annotations() = record.config().annotations();
  if (const auto usage = ReadUsage(node, record.id(), record.cgroup()); usage.ok()) {
    FillCpu(*usage, *out.mutable_cpu());
    FillMemory(*usage, *out.mutable_memory());
    FillSwap(*usage, *out.mutable_swap());
    FillIo(*usage, *out.mutable_io());
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
