// SPDX-License-Identifier: Apache-2.0
//
// A SELinux label, `user:role:type:level`: of a process or of a file.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace davit::server::selinux {

struct Label {
  std::string user;
  std::string role;
  std::string type;
  std::string level;  // may hold colons: "s0:c1,c2"; "" where the policy has no levels
};

// InvalidArgument for anything with less than three parts, an empty one, or characters that no
// label has.
absl::StatusOr<Label> ParseLabel(const std::string& text);
std::string LabelText(const Label& label);

// Whether the text can be one part: user, role or type (and level, where `is_level`).
bool IsLabelPart(const std::string& text, bool is_level);

}  // namespace davit::server::selinux
