// SPDX-License-Identifier: Apache-2.0
#include "server/runtime/runtime_rpcs.h"

namespace davit::server {

absl::StatusOr<runtime::v1::RuntimeConfigResponse> RuntimeConfig(
    Node& node, Context& /*ctx*/, const runtime::v1::RuntimeConfigRequest& /*request*/) {
  runtime::v1::RuntimeConfigResponse response;
  response.mutable_linux()->set_cgroup_driver(node.config.runtime.cgroup_manager == "systemd"
                                                  ? runtime::v1::SYSTEMD
                                                  : runtime::v1::CGROUPFS);
  return response;
}

}  // namespace davit::server
