// SPDX-License-Identifier: Apache-2.0
//
// Whether an image with these signatures meets the requirements of a policy.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "base/digest.h"
#include "image/policy/policy.h"
#include "image/reference.h"
#include "image/signature/signature.h"

namespace davit::image {

// What a signature has to be about: the name that was asked for, and what it leads to. A signature
// of any of the manifests will do: the platform's manifest, or an index that names it by digest.
struct ImageClaim {
  Reference name;
  std::vector<Digest> manifests;
};

// The signatures that meet the requirements. PermissionDenied says which is not, and why each
// signature fails; FailedPrecondition, InvalidArgument, NotFound: a key of the policy, or gpg,
// cannot be used. Key files are read here. `scratch`: a directory for gpg's homes.
absl::StatusOr<std::vector<Signature>> CheckRequirements(Context& ctx,
                                                         const Requirements& requirements,
                                                         const ImageClaim& claim,
                                                         const std::vector<Signature>& signatures,
                                                         const std::string& scratch);

}  // namespace davit::image
