// SPDX-License-Identifier: Apache-2.0
#include <utility>
#include <vector>

#include "server/filter.h"
#include "server/stats/pod_network.h"
#include "server/stats/stats_rpcs.h"

namespace davit::server {
namespace {

bool Matches(const Sandbox::Record& record, const runtime::v1::PodSandboxStatsFilter& filter) {
  return record.state() == davit::state::v1::SANDBOX_READY && MatchesId(record.id(), filter.id()) &&
         MatchesLabels(record.config().labels(), filter.label_selector());
}

}  // namespace

absl::StatusOr<runtime::v1::ListPodSandboxStatsResponse> ListPodSandboxStats(
    Node& node, Context& /*ctx*/, const runtime::v1::ListPodSandboxStatsRequest& request) {
  std::vector<SandboxRecordPtr> records;
  for (const auto& sandbox : node.sandboxes.List()) {
    if (auto record = sandbox->record(); Matches(*record, request.filter())) {
      records.push_back(std::move(record));
    }
  }
  const std::vector<NetCounters> networks = PodNetCounters(node, records);
  runtime::v1::ListPodSandboxStatsResponse response;
  for (size_t i = 0; i < records.size(); ++i) {
    *response.add_stats() = StatsOf(node, *records[i], networks[i]);
  }
  return response;
}

Filler<runtime::v1::StreamPodSandboxStatsResponse> StreamPodSandboxStats(
    Node& node, const runtime::v1::StreamPodSandboxStatsRequest& request) {
  using Response = runtime::v1::StreamPodSandboxStatsResponse;
  auto add = [&node, filter = request.filter()](Response& piece, const Sandbox& sandbox) -> size_t {
    const SandboxRecordPtr record = sandbox.record();
    if (!Matches(*record, filter)) {
      return 0;
    }
    auto& stats = *piece.add_pod_sandbox_stats();
    stats = StatsOf(node, *record, PodNetCounters(node, {record}).front());
    return stats.ByteSizeLong();
  };
  return WalkObjects<Response, Sandbox>(node.sandboxes.List(), std::move(add));
}

}  // namespace davit::server
