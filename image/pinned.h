// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "storage/storage.h"

namespace davit::image {

// Whether a pattern of image.pinned means the image. A pattern is compared with each of its names
// (with tag, with digest, and without either), in full and as a user may write it ("busybox:1"):
// exactly, or with * and ? for parts of it (`prefix*`, `*word*`, in any case of letters).
[[nodiscard]] bool IsPinned(const storage::ImageRecord& image,
                            const std::vector<std::string>& patterns);

}  // namespace davit::image
