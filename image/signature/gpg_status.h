// SPDX-License-Identifier: Apache-2.0
//
// What gpg writes to its status descriptor: lines `[GNUPG:] KEYWORD ARGUMENT…` (doc/DETAILS of
// GnuPG). Anything but one good signature is a refusal, unknown keywords are not.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace davit::image {

// Fingerprints of the keys that an import took.
std::vector<std::string> ImportedKeys(std::string_view status);

// OK if the status tells of exactly one signature, good and by one of `keys`; PermissionDenied says
// what it tells of.
absl::Status CheckGoodSignature(std::string_view status, const std::set<std::string>& keys);

}  // namespace davit::image
