// SPDX-License-Identifier: Apache-2.0
//
// The parts of an OCI image config (image-spec "Image Configuration") that a container inherits.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace davit::image {

struct ImageConfig {
  std::string user;              // "", "name", "uid", "user:group", "uid:gid"
  std::vector<std::string> env;  // "NAME=value"
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::string working_dir;
  std::vector<std::string> volumes;  // container paths
  std::string stop_signal;           // "SIGTERM", "15", ""
  std::map<std::string, std::string> labels;
  std::vector<std::string> diff_ids;
  std::string os;
  std::string architecture;
};

// InvalidArgument for JSON that is not an image config.
absl::StatusOr<ImageConfig> ParseImageConfig(const std::string& json);

}  // namespace davit::image
