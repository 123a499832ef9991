// SPDX-License-Identifier: Apache-2.0
//
// Sigstore signatures in the registry: an image tagged `sha256-<hex>.sig` in the same repository,
// whose layers are the signed payloads, their signatures annotations of the layers.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "base/digest.h"
#include "image/signature/signature.h"
#include "image/source.h"

namespace davit::image {

// None is no error. The registry's own errors keep their codes.
absl::StatusOr<std::vector<Signature>> FetchAttachments(Context& ctx, Source& source,
                                                        const Digest& manifest);

}  // namespace davit::image
