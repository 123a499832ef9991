// SPDX-License-Identifier: Apache-2.0
//
// WWW-Authenticate (RFC 9110, 11.6.1): what a registry asks for.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace davit::image {

struct Challenge {
  std::string scheme;                             // lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case
};

// The challenges of one header in its order. Lenient: what cannot be read is skipped.
[[nodiscard]] std::vector<Challenge> ParseChallenges(std::string_view header);

}  // namespace davit::image
