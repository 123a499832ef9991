// SPDX-License-Identifier: Apache-2.0
//
// The file layers/<id>/recipe: what the layer's tar held besides the content of its files, so that
// the same tar, bit for bit, can be made again from diff/. It stands for the diff ID: a full check
// (storage/check/check.h) makes the tar again and compares its digest.
//
//   8 bytes   "DVTRCP1\n"
//   8 bytes   size of the tar, little-endian
//   a zstd frame (with checksum) of the tar in which the content of each regular file (TarFraming
//   says which)
//             is replaced by its CRC-32, 4 bytes, little-endian. The content is that of the file of
//             the entry's name below diff/, or of kept/<n>, if that exists, for the nth such file
//             (from 0): one that a later entry of the tar replaced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace davit::storage {

inline constexpr std::string_view kRecipeMagic = "DVTRCP1\n";
inline constexpr size_t kRecipeHeader = 16;
inline constexpr size_t kRecipeCrc = 4;
inline constexpr int kRecipeWindowLog = 18;  // of zstd: memory of reader and writer

}  // namespace davit::storage
