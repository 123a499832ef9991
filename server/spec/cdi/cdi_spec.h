// SPDX-License-Identifier: Apache-2.0
//
// One file of the Container Device Interface (CNCF TAG runtime, cdi spec 0.3.0 to 1.0.0): a
// vendor's devices, and what a container needs to use each. Kept as JSON, in the field names of the
// specification; heavy header, for this folder only.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

#include "base/json.h"

namespace davit::server::spec {

struct CdiSpec {
  std::string kind;                               // "vendor.com/class"
  nlohmann::json edits;                           // for every device of the file; may be empty
  std::map<std::string, nlohmann::json> devices;  // name -> containerEdits
};

// YAML (of which JSON is a part). InvalidArgument names the file and what is wrong with it.
absl::StatusOr<CdiSpec> ParseCdiSpec(std::string_view text, const std::string& path);

// "vendor.com/class=name"; InvalidArgument says what is wrong.
struct CdiName {
  std::string kind;
  std::string device;
};
absl::StatusOr<CdiName> ParseCdiName(const std::string& text);

}  // namespace davit::server::spec
