// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "server/filter.h"
#include "server/stats/stats_rpcs.h"

namespace davit::server {
namespace {

bool Matches(const Container::Record& record, const runtime::v1::ContainerStatsFilter& filter) {
  return record.state() == davit::state::v1::CONTAINER_RUNNING &&
         MatchesId(record.id(), filter.id()) &&
         MatchesId(record.sandbox_id(), filter.pod_sandbox_id()) &&
         MatchesLabels(record.config().labels(), filter.label_selector());
}

}  // namespace

absl::StatusOr<runtime::v1::ListContainerStatsResponse> ListContainerStats(
    Node& node, Context& /*ctx*/, const runtime::v1::ListContainerStatsRequest& request) {
  runtime::v1::ListContainerStatsResponse response;
  for (const auto& container : node.containers.List()) {
    const auto record = container->record();
    if (Matches(*record, request.filter())) {
      *response.add_stats() = StatsOf(node, *record);
    }
  }
  return response;
}

Filler<runtime::v1::StreamContainerStatsResponse> StreamContainerStats(
    Node& node, const runtime::v1::StreamContainerStatsRequest& request) {
  using Response = runtime::v1::StreamContainerStatsResponse;
  auto add = [&node, filter = request.filter()](Response& piece,
                                                const Container& container) -> size_t {
    const auto record = container.record();
    if (!Matches(*record, filter)) {
      return 0;
    }
    auto& stats = *piece.add_container_stats();
    stats = StatsOf(node, *record);
    return stats.ByteSizeLong();
  };
  return WalkObjects<Response, Container>(node.containers.List(), std::move(add));
}

}  // namespace davit::server
