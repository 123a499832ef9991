// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"
#include "base/text.h"
#include "server/sandbox/sandbox_rpcs.h"

namespace davit::server {

absl::StatusOr<runtime::v1::RestorePodResponse> RestorePod(
    Node& /*node*/, Context& /*ctx*/, const runtime::v1::RestorePodRequest& request) {
  return Unimplemented(
      "RestorePod: checkpoint {} cannot be restored, davit does not drive CRIU; run the pod anew",
      Printable(request.checkpoint_path()));
}

}  // namespace davit::server
