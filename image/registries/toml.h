// SPDX-License-Identifier: Apache-2.0
//
// Parsing of foreign TOML at the boundary: toml++ throws, we return InvalidArgument that begins
// with "FILE:LINE: ". Include only in .cc files (the header is heavy).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include <fmt/format.h>
#include <toml++/toml.h>

#include "base/status.h"

namespace davit::image {

// Refuses text over 1 MiB.
absl::StatusOr<toml::table> ParseToml(std::string_view text, const std::string& file);

// InvalidArgument: `what`, with the file and the line of `node`.
absl::Status TomlError(const std::string& file, const toml::node& node, const std::string& what);

// The value of `key`: the fallback if it is not there, an error if it is of another type.
absl::StatusOr<std::string> TomlString(const std::string& file, const toml::table& table,
                                       std::string_view key);
absl::StatusOr<bool> TomlBool(const std::string& file, const toml::table& table,
                              std::string_view key, bool fallback = false);
// An array of strings.
absl::StatusOr<std::vector<std::string>> TomlStrings(const std::string& file,
                                                     const toml::table& table,
                                                     std::string_view key);

// "FILE:LINE: unknown key KEY" for each key that is not `known`: peers ignore them, so do we, but
// say so.
std::vector<std::string> UnknownKeys(const std::string& file, const toml::table& table,
                                     const std::vector<std::string_view>& known);

}  // namespace davit::image
