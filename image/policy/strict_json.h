// SPDX-License-Identifier: Apache-2.0
//
// JSON that decides about trust: what two readers may understand in two ways is refused, so a key
// twice in one object, a key that nobody knows, and a value of another type are errors. Include
// only in .cc files (the header is heavy).
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include <nlohmann/json.hpp>

namespace davit::image {

// ParseJson of base/json.h that also refuses a key twice in one object.
absl::StatusOr<nlohmann::json> ParseStrictJson(std::string_view text, const std::string& what,
                                               size_t max_bytes);

// InvalidArgument unless `value` is an object with no keys but these; `where` names it.
absl::Status CheckObject(const nlohmann::json& value, std::initializer_list<const char*> known,
                         const std::string& where);

// The string at `key`; InvalidArgument if there is none.
absl::StatusOr<std::string> StringAt(const nlohmann::json& object, const char* key,
                                     const std::string& where);
// The same, "" if the key is not there.
absl::StatusOr<std::string> OptionalStringAt(const nlohmann::json& object, const char* key,
                                             const std::string& where);
// The value at `key`; InvalidArgument if there is none.
absl::StatusOr<const nlohmann::json*> ValueAt(const nlohmann::json& object, const char* key,
                                              const std::string& where);

}  // namespace davit::image
