// SPDX-License-Identifier: Apache-2.0
//
// The decompressors behind decompress.h, one for each format.
#pragma once

#include <memory>

#include "image/decompress.h"

namespace davit::image {

inline constexpr size_t kOutputBytes = size_t{256} << 10U;

std::unique_ptr<Decompressor> NewGzip(ByteSink sink);
std::unique_ptr<Decompressor> NewZstd(ByteSink sink);

}  // namespace davit::image
