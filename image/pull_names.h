// SPDX-License-Identifier: Apache-2.0
//
// What a pull calls its image or artifact.
#pragma once

#include "base/digest.h"
#include "config/config.h"
#include "image/reference.h"
#include "storage/storage.h"

namespace davit::image {

// Adds the tag (of a reference without a digest) and the digest of what the reference named, and
// pins the image if one of its names matches image.pinned.
void AddPulledNames(storage::ImageRecord& record, const Reference& reference,
                    const Digest& top_digest, const config::Image& config);

}  // namespace davit::image
