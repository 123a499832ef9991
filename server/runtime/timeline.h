// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"

#include "base/context.h"
#include "server/api/davit.pb.h"
#include "server/node.h"

namespace davit::server {

// Davit.Timeline, from the spans that are kept in memory (base/trace.h). NotFound for a trace that
// is not kept (any more).
absl::StatusOr<davit::v1::TimelineResponse> Timeline(Node& node, Context& ctx,
                                                     const davit::v1::TimelineRequest& request);

}  // namespace davit::server
