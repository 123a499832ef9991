// SPDX-License-Identifier: Apache-2.0
#include "server/image/pulls_in_progress.h"

namespace davit::server {

void ToMessage(const image::LayerProgress& layer, davit::v1::LayerProgress& out) {
  out.set_digest(layer.blob.text());
  out.set_total_bytes(layer.total_bytes);
  out.set_done_bytes(layer.done_bytes);
  out.set_state(static_cast<davit::v1::LayerState>(layer.state));
}

davit::v1::PullsInProgress PullsNow(const image::Puller& puller) {
  davit::v1::PullsInProgress message;
  for (const image::RunningPull& pull : puller.Running()) {
    auto* out = message.add_pulls();
    out->set_image(pull.name);
    out->set_stage(pull.stage);
    out->set_waiters(pull.waiters);
    out->set_age_ns(pull.age.count());
    out->set_bytes_per_second(pull.bytes_per_second);
    out->set_trace_id(pull.trace);
    for (const image::LayerProgress& layer : pull.layers) {
      ToMessage(layer, *out->add_layers());
    }
  }
  return message;
}

}  // namespace davit::server
