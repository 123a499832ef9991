// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"

#include "base/context.h"
#include "server/api/davit.pb.h"
#include "server/node.h"

namespace davit::server {

// Directories that no record names; with `images` also images that no container uses and that are
// not pinned, the oldest first. The kubelet collects images by itself: this is for whoever has no
// kubelet, or no patience.
absl::StatusOr<davit::v1::CollectGarbageResponse> CollectGarbage(
    Node& node, Context& ctx, const davit::v1::CollectGarbageRequest& request);

}  // namespace davit::server
