// SPDX-License-Identifier: Apache-2.0
//
// Which plugins are built in for a network, and their calls (docs/network.md). Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "base/context.h"
#include "network/builtin/bridge.h"
#include "network/cni_config.h"
#include "network/plugin.h"

namespace davit::network::builtin {

class Plugins {
 public:
  // `types` as in network.builtin_plugins.
  explicit Plugins(std::vector<std::string> types) : types_(std::move(types)) {}

  // Whether ADD and DEL of the plugin are done here. If it is listed and its configuration asks for
  // more than is built in, the log says so, once for each configuration.
  [[nodiscard]] bool Has(const NetworkConfig& network, const PluginConfig& plugin);

  // ADD and DEL as the plugin does them, with its errors; `result` is that of the network, at DEL.
  // Nothing if the plugin has to be executed: another command, not built in, or the call has what
  // is not built in (arguments of capabilities, in `runtime_config`; CNI_ARGS that ask for more
  // than pods have; a plugin before it).
  struct Call {
    const NetworkConfig& network;
    const PluginConfig& plugin;
    const PluginCall& call;
    bool has_runtime_config = false;
    std::string_view result;
  };
  std::optional<absl::StatusOr<std::string>> Run(Context& ctx, const Call& what);

 private:
  using PlanPtr = std::shared_ptr<const BridgePlan>;

  PlanPtr PlanOf(const NetworkConfig& network, const PluginConfig& plugin);
  absl::StatusOr<std::string> RunBridge(Context& ctx, const BridgePlan& plan, const Call& what);

  const std::vector<std::string> types_;
  Bridge bridge_;
  absl::Mutex mutex_;
  // By the text of the configuration; null for what is not built in.
  std::map<std::string, PlanPtr, std::less<>> plans_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit::network::builtin
