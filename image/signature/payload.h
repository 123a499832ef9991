// SPDX-License-Identifier: Apache-2.0
//
// The signed statement "this manifest is that image": the JSON of containers-signature(5), which
// sigstore signatures of images share. To be parsed only after its signature has been verified.
// What is critical is read strictly: a key that is not known is refused.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

#include "base/digest.h"

namespace davit::image {

struct SignedClaim {
  Digest manifest;
  std::string reference;  // as it was signed; not yet a valid name
};

// critical.type of the two kinds.
inline constexpr const char* kSimpleSigningType = "atomic container signature";
inline constexpr const char* kSigstoreType = "cosign container image signature";

// InvalidArgument names the mistake.
absl::StatusOr<SignedClaim> ParseClaim(std::string_view payload, const char* type);

}  // namespace davit::image
