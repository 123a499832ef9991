// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "server/cli/client.h"
#include "server/cli/progress.h"

namespace davit::server::cli {

// Pulls one image, shown as the `image`th of `bars` if there are any; the last message names it.
absl::StatusOr<davit::v1::PullImageProgress> PullOne(Client& client,
                                                     const davit::v1::PullImageRequest& request,
                                                     PullProgress* bars, size_t image = 0);

}  // namespace davit::server::cli
