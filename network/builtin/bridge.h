// SPDX-License-Identifier: Apache-2.0
//
// ADD and DEL of the plugin "bridge" with addresses by "host-local", without executing them: the
// same interfaces, addresses, rules and files, so that either may delete what the other has added.
// Thread-safe; calls for different pods run side by side.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "network/builtin/bridge_plan.h"
#include "network/builtin/masquerade.h"

namespace davit::network::builtin {

struct Target {
  std::string_view container;
  std::string netns;  // "" if it is gone
};

class Bridge {
 public:
  // False if a program for what the plan asks for is missing.
  [[nodiscard]] bool IsPossible(const BridgePlan& plan) const;

  // The result in the plan's version. What a failed one has made, Del removes.
  absl::StatusOr<std::string> Add(Context& ctx, const BridgePlan& plan, const Target& target);
  // `result` is that of the network, "" if none is known: then all that may be there is looked for.
  // An address is given back when the interface is gone. Idempotent.
  absl::Status Del(Context& ctx, const BridgePlan& plan, const Target& target,
                   std::string_view result);

 private:
  absl::Status RemoveRules(Context& ctx, const BridgePlan& plan, const Target& target,
                           const std::vector<Prefix>& known);

  Masquerade masquerade_;
};

}  // namespace davit::network::builtin
