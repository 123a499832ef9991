// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "server/cli/client.h"
#include "server/cli/log_reader.h"

namespace davit::server::cli {

// Shows what the container writes until it ends; returns its last status.
absl::StatusOr<runtime::v1::ContainerStatus> FollowLog(Client& client, const std::string& id,
                                                       LogReader& reader, bool timestamps);

}  // namespace davit::server::cli
