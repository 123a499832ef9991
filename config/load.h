// SPDX-License-Identifier: Apache-2.0
//
// YAML to Config and back. Unknown keys, wrong types and values out of range are InvalidArgument
// with file, line, column and the full key ("/etc/davit/davit.yaml:12:3: runtime.pids_limit: …").
// Bounded against alias bombs: size and depth are limited.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "config/config.h"

namespace davit::config {

inline constexpr char kDefaultPath[] = "/etc/davit/davit.yaml";

// The file, then its drop-ins `<path minus .yaml>.d/*.yaml` in order of name, later wins by key
// (lists are replaced, maps merged).
absl::StatusOr<Config> LoadFile(const std::string& path);
absl::StatusOr<Config> LoadText(const std::string& yaml, const std::string& name);
// The checks that need no machine: absolute paths, known names, sane numbers.
absl::Status Validate(const Config& config);

// Complete YAML with every key, its value and a comment that explains it. LoadText(ToYaml(c)) == c.
std::string ToYaml(const Config& config);

}  // namespace davit::config
