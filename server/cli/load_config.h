// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "config/config.h"

namespace davit::server::cli {

// The named file; without a name the default one if it is there, else the defaults.
absl::StatusOr<config::Config> LoadConfig(const std::string& file);

}  // namespace davit::server::cli
