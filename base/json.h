// SPDX-License-Identifier: Apache-2.0
//
// Parsing of foreign JSON at the boundary: nlohmann throws, we return InvalidArgument. Include only
// in .cc files (the header is heavy).
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include <nlohmann/json.hpp>

namespace davit {

// Refuses text over `max_bytes` and nesting over 128 levels. `what` names the text in the error.
absl::StatusOr<nlohmann::json> ParseJson(std::string_view text, const std::string& what,
                                         size_t max_bytes = 16U << 20U);

// Field access that never throws: the value if it is there and of the type, else the fallback.
std::string JsonString(const nlohmann::json& object, const char* key, std::string fallback = "");
int64_t JsonInt(const nlohmann::json& object, const char* key, int64_t fallback = 0);
bool JsonBool(const nlohmann::json& object, const char* key, bool fallback = false);
// The child object or array, or an empty one of that kind.
const nlohmann::json& JsonChild(const nlohmann::json& object, const char* key);

// dump() that replaces invalid UTF-8 instead of throwing.
std::string DumpJson(const nlohmann::json& value, int indent = -1);

}  // namespace davit
