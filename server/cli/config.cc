// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/status.h"
#include "config/load.h"
#include "image/puller.h"
#include "server/cli/commands.h"

namespace davit::server::cli {

absl::Status RunConfig(const ConfigOptions& options) {
  if (!options.check_file.empty()) {
    ASSIGN_OR_RETURN(const config::Config checked, config::LoadFile(options.check_file));
    RETURN_IF_ERROR(image::CheckRegistries(checked.image));
    fmt::print("{}: ok\n", options.check_file);
    return absl::OkStatus();
  }
  config::Config config;
  if (!options.config_file.empty()) {
    ASSIGN_OR_RETURN(config, config::LoadFile(options.config_file));
  }
  fmt::print("# Davit's configuration, complete. Every key may be left out.\n{}",
             config::ToYaml(config));
  return absl::OkStatus();
}

}  // namespace davit::server::cli
