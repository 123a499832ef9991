// SPDX-License-Identifier: Apache-2.0
#include "network/builtin/plugins.h"

#include <algorithm>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::network::builtin {
namespace {

constexpr char kBridge[] = "bridge";
// Networks at once; there is one in use, and those that pods were added to before it.
constexpr size_t kMaxPlans = 16;

// "IgnoreUnknown=1;K8S_POD_NAME=web": anything else may be a wish (IP, MAC) of one of the plugins.
bool AreOfPods(std::string_view args) {
  const std::vector<std::string> entries = Split(args, ';');
  return std::all_of(entries.begin(), entries.end(), [](const std::string& entry) {
    return entry.empty() || entry.starts_with("K8S_POD_") || entry.starts_with("IgnoreUnknown=");
  });
}

absl::Status AsPlugin(const PluginCall& call, const absl::Status& status) {
  const bool of_context = absl::IsCancelled(status) || absl::IsDeadlineExceeded(status);
  return Annotate(
      of_context ? status : WithCode(absl::StatusCode::kInternal, status),
      fmt::format("plugin {} of network {} ({})", call.type, call.network, call.command));
}

}  // namespace

Plugins::PlanPtr Plugins::PlanOf(const NetworkConfig& network, const PluginConfig& plugin) {
  if (plugin.type != kBridge ||
      std::find(types_.begin(), types_.end(), plugin.type) == types_.end()) {
    return nullptr;
  }
  const absl::MutexLock lock(&mutex_);
  if (const auto found = plans_.find(plugin.stdin_head); found != plans_.end()) {
    return found->second;
  }
  const absl::StatusOr<BridgePlan> plan = ParseBridgePlan(plugin.stdin_head + "}");
  PlanPtr result;
  if (!plan.ok()) {
    log::Warning(
        "network {}: plugin {} is executed, although network.builtin_plugins lists it: "
        "not built in is {}",
        network.name, plugin.type, Message(plan.status()));
  } else if (!bridge_.IsPossible(*plan)) {
    log::Warning(
        "network {}: plugin {} is executed, although network.builtin_plugins lists it: "
        "ipMasq needs iptables-restore and iptables-save, install the package iptables",
        network.name, plugin.type);
  } else {
    log::Info("network {}: plugin {} is built in, its program is not executed for ADD and DEL",
              network.name, plugin.type);
    result = std::make_shared<const BridgePlan>(*plan);
  }
  if (plans_.size() >= kMaxPlans) {
    plans_.clear();
  }
  plans_[plugin.stdin_head] = result;
  return result;
}

bool Plugins::Has(const NetworkConfig& network, const PluginConfig& plugin) {
  return PlanOf(network, plugin) != nullptr;
}

absl::StatusOr<std::string> Plugins::RunBridge(Context& ctx, const BridgePlan& plan,
                                               const Call& what) {
  const Target target{what.call.container_id, std::string(what.call.netns)};
  if (what.call.command == "ADD") {
    return bridge_.Add(ctx, plan, target);
  }
  RETURN_IF_ERROR(bridge_.Del(ctx, plan, target, what.result));
  return "";
}

std::optional<absl::StatusOr<std::string>> Plugins::Run(Context& ctx, const Call& what) {
  const bool is_add = what.call.command == "ADD";
  if ((!is_add && what.call.command != "DEL") || what.has_runtime_config ||
      !AreOfPods(what.call.args) || (is_add && !what.result.empty())) {
    return std::nullopt;
  }
  const PlanPtr plan = PlanOf(what.network, what.plugin);
  if (plan == nullptr) {
    return std::nullopt;
  }
  absl::StatusOr<std::string> output = RunBridge(ctx, *plan, what);
  if (!output.ok()) {
    return AsPlugin(what.call, output.status());
  }
  return output;
}

}  // namespace davit::network::builtin
