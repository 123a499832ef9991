// SPDX-License-Identifier: Apache-2.0
//
// One requirement of a policy. Include only in .cc files (the JSON header is heavy).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include <nlohmann/json.hpp>

#include "image/policy/policy.h"

namespace davit::image {

// `where` names the place of `value` in the file: errors begin with it.
absl::StatusOr<Requirement> ParseRequirement(const nlohmann::json& value, const std::string& where);

}  // namespace davit::image
