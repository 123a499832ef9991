// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "server/cli/client.h"

namespace davit::server::cli {

// Prints the stages of one operation, each below the one it is part of.
absl::Status PrintTimeline(Client& client, const std::string& trace_id, bool json);

}  // namespace davit::server::cli
