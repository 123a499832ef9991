// SPDX-License-Identifier: Apache-2.0
//
// For the parsers of this folder only (JSON is heavy): an OCI descriptor out of a larger document.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include <nlohmann/json_fwd.hpp>

#include "image/manifest.h"

namespace davit::image {

// InvalidArgument names `what` and the field that is missing or malformed.
absl::StatusOr<Descriptor> ParseDescriptor(const nlohmann::json& json, const std::string& what);

}  // namespace davit::image
