// SPDX-License-Identifier: Apache-2.0
//
// Signatures beside the registry (docs of containers-registries.d(5)):
// `<base>/<repository path>@<algorithm>=<hex>/signature-1`, -2, … until one is missing. The base is
// a directory or a web server. Files are resolved beneath the directory by the kernel.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "base/digest.h"
#include "image/reference.h"
#include "image/signature/signature.h"

namespace davit::image {

// None is no error. What is no signature at all is left to the verification to refuse.
absl::StatusOr<std::vector<Signature>> FetchLookaside(Context& ctx, const std::string& base,
                                                      const Reference& reference,
                                                      const Digest& manifest);

}  // namespace davit::image
