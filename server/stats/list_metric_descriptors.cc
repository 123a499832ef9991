// SPDX-License-Identifier: Apache-2.0
#include "server/stats/metric_table.h"
#include "server/stats/stats_rpcs.h"

namespace davit::server {

absl::StatusOr<runtime::v1::ListMetricDescriptorsResponse> ListMetricDescriptors(
    Node& /*node*/, Context& /*ctx*/, const runtime::v1::ListMetricDescriptorsRequest&) {
  runtime::v1::ListMetricDescriptorsResponse response;
  for (int i = 0; i < static_cast<int>(Metric::kCount); ++i) {
    const MetricKind& kind = KindOf(static_cast<Metric>(i));
    auto& descriptor = *response.add_descriptors();
    descriptor.set_name(kind.name);
    descriptor.set_help(kind.help);
    for (const auto* labels : {&CommonLabels(), &kind.labels}) {
      for (const std::string& label : *labels) {
        descriptor.add_label_keys(label);
      }
    }
  }
  return response;
}

}  // namespace davit::server
