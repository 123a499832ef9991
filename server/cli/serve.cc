// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "config/load.h"
#include "server/cli/commands.h"
#include "server/cli/load_config.h"
#include "server/server.h"

namespace davit::server::cli {

absl::StatusOr<config::Config> LoadConfig(const std::string& file) {
  if (!file.empty()) {
    return config::LoadFile(file);
  }
  if (PathExists(config::kDefaultPath)) {
    return config::LoadFile(config::kDefaultPath);
  }
  return config::Config();
}

namespace {

void Override(std::string& member, const std::string& flag) {
  if (!flag.empty()) {
    member = flag;
  }
}

}  // namespace

absl::Status RunServe(const ServeOptions& options) {
  ASSIGN_OR_RETURN(config::Config config, LoadConfig(options.config_file));
  Override(config.storage.root, options.root);
  Override(config.storage.run, options.run);
  Override(config.log_level, options.log_level);
  if (options.socket.empty() && !options.run.empty()) {
    config.socket = options.run + "/davit.sock";
  }
  Override(config.socket, options.socket);
  RETURN_IF_ERROR(config::Validate(config));
  RETURN_IF_ERROR(log::SetLevelByName(config.log_level));
  return Serve(config);
}

}  // namespace davit::server::cli
