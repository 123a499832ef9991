// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "server/cli/client.h"

namespace davit::server::cli {

// Pulls one image and shows bars unless `quiet`; the last message names the image.
absl::StatusOr<davit::v1::PullImageProgress> PullOne(Client& client,
                                                     const davit::v1::PullImageRequest& request,
                                                     bool quiet);

}  // namespace davit::server::cli
