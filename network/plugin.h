// SPDX-License-Identifier: Apache-2.0
//
// Executes one CNI plugin. Each runs in a session of its own, so that one that hangs is killed with
// its children; what it prints is limited. Thread-safe; holds no state but the search path.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "network/cni_config.h"

namespace davit::network {

struct PluginCall {
  std::string_view command;  // "ADD", "DEL", …
  std::string_view network;  // for messages
  std::string_view type;
  std::string_view container_id;
  std::string_view netns;  // "" if it is gone
  std::string_view args;   // CNI_ARGS
  std::string_view input;  // its configuration
};

class PluginRunner {
 public:
  explicit PluginRunner(std::vector<std::string> dirs);

  // Absolute path of a plugin. FailedPrecondition says where it was looked for.
  [[nodiscard]] absl::StatusOr<std::string> Find(const std::string& type) const;
  // Checks that all plugins of the network, with those for addresses, are there.
  [[nodiscard]] absl::Status FindAll(const NetworkConfig& network) const;

  // What the plugin printed. Every error names plugin and network: DeadlineExceeded or Cancelled if
  // the context ended first (the plugin was killed), Internal with the plugin's own message if it
  // failed or printed too much.
  [[nodiscard]] absl::StatusOr<std::string> Run(Context& ctx, const PluginCall& call) const;

 private:
  const std::vector<std::string> dirs_;
  std::vector<std::string> env_;  // what every call has
};

}  // namespace davit::network
