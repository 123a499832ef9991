// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"
#include "server/stats/pod_network.h"
#include "server/stats/stats_rpcs.h"
#include "server/stats/usage.h"

namespace davit::server {
namespace {

// Processes of the pod's cgroup and below: what counts against the node's limit of PIDs are
// threads, but the CRI asks for processes.
void FillProcesses(const Node& node, const Usage& usage, const std::string& cgroup,
                   runtime::v1::LinuxPodSandboxStats& stats) {
  if (const auto pids = node.cgroups.Pids(cgroup); pids.ok()) {
    stats.mutable_process()->set_timestamp(usage.stats.timestamp_ns);
    stats.mutable_process()->mutable_process_count()->set_value(pids->size());
  }
}

}  // namespace

runtime::v1::PodSandboxStats StatsOf(Node& node, const Sandbox::Record& record,
                                     const NetCounters& network) {
  runtime::v1::PodSandboxStats out;
  auto& attributes = *out.mutable_attributes();
  attributes.set_id(record.id());
  *attributes.mutable_metadata() = record.config().metadata();
  *attributes.mutable_labels() = record.config().labels();
  *attributes.mutable_annotations() = record.config().annotations();
  auto& stats = *out.mutable_linux();
  if (const auto usage = ReadUsage(node, record.id(), record.cgroup()); usage.ok()) {
    FillCpu(*usage, *stats.mutable_cpu());
    FillMemory(*usage, *stats.mutable_memory());
    FillIo(*usage, *stats.mutable_io());
    FillProcesses(node, *usage, record.cgroup(), stats);
  }
  FillNetwork(network, stats);
  for (const auto& container : node.containers.ListOf(record.id())) {
    const auto container_record = container->record();
    if (container_record->state() == davit::state::v1::CONTAINER_RUNNING) {
      *stats.add_containers() = StatsOf(node, *container_record);
    }
  }
  return out;
}

absl::StatusOr<runtime::v1::PodSandboxStatsResponse> PodSandboxStats(
    Node& node, Context& /*ctx*/, const runtime::v1::PodSandboxStatsRequest& request) {
  ASSIGN_OR_RETURN(const auto sandbox, node.sandboxes.Find(request.pod_sandbox_id()));
  const SandboxRecordPtr record = sandbox->record();
  runtime::v1::PodSandboxStatsResponse response;
  *response.mutable_stats() = StatsOf(node, *record, PodNetCounters(node, {record}).front());
  return response;
}

}  // namespace davit::server
