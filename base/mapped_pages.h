// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace davit {

struct MappedRange {
  uintptr_t begin = 0;
  uintptr_t end = 0;
};

// The ranges of /proc/PID/smaps that a file backs, that nobody can write and of which no page was
// written before (relocated data has such pages): what the kernel can fetch again from the page
// cache.
std::vector<MappedRange> CleanFileRanges(std::string_view smaps);

// Takes the pages of programs and libraries out of this process: most were touched by the dynamic
// linker and by initialisation, and are not needed again. The others come back from the page cache,
// each by a minor fault, when they are used. Any thread, any time. Source: madvise(2),
// MADV_DONTNEED.
absl::Status DropMappedPages();

}  // namespace davit
