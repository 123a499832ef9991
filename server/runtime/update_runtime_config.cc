// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "base/text.h"
#include "server/runtime/runtime_rpcs.h"

namespace davit::server {

absl::StatusOr<runtime::v1::UpdateRuntimeConfigResponse> UpdateRuntimeConfig(
    Node& /*node*/, Context& /*ctx*/, const runtime::v1::UpdateRuntimeConfigRequest& request) {
  const std::string& cidr = request.runtime_config().network_config().pod_cidr();
  if (!cidr.empty()) {
    log::Info("pod CIDR of this node is {}; the CNI configuration decides what pods get",
              Printable(cidr));
  }
  return runtime::v1::UpdateRuntimeConfigResponse();
}

}  // namespace davit::server
