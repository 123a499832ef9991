// SPDX-License-Identifier: Apache-2.0
#include <utility>
#include <vector>

#include "server/stats/pod_metrics.h"
#include "server/stats/pod_network.h"
#include "server/stats/stats_rpcs.h"

namespace davit::server {
namespace {

bool IsReady(const Sandbox::Record& record) {
  return record.state() == davit::state::v1::SANDBOX_READY;
}

}  // namespace

absl::StatusOr<runtime::v1::ListPodSandboxMetricsResponse> ListPodSandboxMetrics(
    Node& node, Context& /*ctx*/, const runtime::v1::ListPodSandboxMetricsRequest&) {
  std::vector<SandboxRecordPtr> records;
  for (const auto& sandbox : node.sandboxes.List()) {
    if (auto record = sandbox->record(); IsReady(*record)) {
      records.push_back(std::move(record));
    }
  }
  const std::vector<NetCounters> networks = PodNetCounters(node, records);
  runtime::v1::ListPodSandboxMetricsResponse response;
  for (size_t i = 0; i < records.size(); ++i) {
    *response.add_pod_metrics() = MetricsOf(node, *records[i], networks[i]);
  }
  return response;
}

Filler<runtime::v1::StreamPodSandboxMetricsResponse> StreamPodSandboxMetrics(
    Node& node, const runtime::v1::StreamPodSandboxMetricsRequest&) {
  using Response = runtime::v1::StreamPodSandboxMetricsResponse;
  auto add = [&node](Response& piece, const Sandbox& sandbox) -> size_t {
    const SandboxRecordPtr record = sandbox.record();
    if (!IsReady(*record)) {
      return 0;
    }
    auto& metrics = *piece.add_pod_sandbox_metrics();
    metrics = MetricsOf(node, *record, PodNetCounters(node, {record}).front());
    return metrics.ByteSizeLong();
  };
  return WalkObjects<Response, Sandbox>(node.sandboxes.List(), std::move(add));
}

}  // namespace davit::server
