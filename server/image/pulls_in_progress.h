// SPDX-License-Identifier: Apache-2.0
//
// Pulls as davit.v1 tells of them.
#pragma once

#include "image/puller.h"
#include "server/api/davit.pb.h"

namespace davit::server {

void ToMessage(const image::LayerProgress& layer, davit::v1::LayerProgress& out);
// What runs now; never blocks.
[[nodiscard]] davit::v1::PullsInProgress PullsNow(const image::Puller& puller);

}  // namespace davit::server
