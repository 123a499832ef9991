// SPDX-License-Identifier: Apache-2.0
#include "server/version.h"

#include "server/runtime/runtime_rpcs.h"

namespace davit::server {

absl::StatusOr<runtime::v1::VersionResponse> Version(
    Node& /*node*/, Context& /*ctx*/, const runtime::v1::VersionRequest& /*request*/) {
  runtime::v1::VersionResponse response;
  response.set_version("0.1.0");  // of the kubelet's runtime API: fixed since its beginning
  response.set_runtime_name("davit");
  response.set_runtime_version(kVersion);
  response.set_runtime_api_version("v1");
  return response;
}

}  // namespace davit::server
