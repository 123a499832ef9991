// SPDX-License-Identifier: Apache-2.0
//
// Applies containerEdits of the CDI to an OCI config: environment, device nodes with their cgroup
// rules, mounts, hooks, additional groups, RDT class.
#pragma once

#include <string>

#include "absl/status/status.h"

#include "base/json.h"

namespace davit::server::spec {

// `what` names the device in errors. FailedPrecondition for an edit that cannot be made here: a
// device that does not exist, a kind of edit that Davit does not know.
absl::Status ApplyContainerEdits(const nlohmann::json& edits, const std::string& what,
                                 nlohmann::json& config);

}  // namespace davit::server::spec
