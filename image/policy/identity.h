// SPDX-License-Identifier: Apache-2.0
//
// Whether what a signature says that an image is fits the name that the image was asked for by.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

#include "image/policy/policy.h"
#include "image/reference.h"

namespace davit::image {

// A name is compared as it was written: "busybox" is the repository, not its tag "latest".
[[nodiscard]] bool HasTagOrDigest(std::string_view name);

// OK if it fits; else PermissionDenied says what was signed and what is wanted. `signed_as` is the
// signature's docker-reference, foreign text.
absl::Status CheckIdentity(const SignedIdentity& identity, const Reference& image,
                           const std::string& signed_as);

}  // namespace davit::image
