// SPDX-License-Identifier: Apache-2.0
#include "storage/id_mapping.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "base/status.h"

namespace davit::storage {
namespace {

constexpr size_t kMaxRanges = 340;  // UID_GID_MAP_MAX_EXTENTS, Linux 4.15

bool Overlap(uint32_t a, uint32_t a_count, uint32_t b, uint32_t b_count) {
  return uint64_t{a} < uint64_t{b} + b_count && uint64_t{b} < uint64_t{a} + a_count;
}

absl::Status CheckRanges(const std::vector<IdRange>& ranges, const char* what) {
  constexpr uint64_t kEnd = std::numeric_limits<uint32_t>::max();  // (uid_t)-1 means "no ID"
  if (ranges.size() > kMaxRanges) {
    return InvalidArgument("{} mapping has {} ranges, the kernel takes {}", what, ranges.size(),
                           kMaxRanges);
  }
  bool root = false;
  for (size_t i = 0; i < ranges.size(); ++i) {
    const IdRange& r = ranges[i];
    if (r.count == 0 || uint64_t{r.inside} + r.count > kEnd ||
        uint64_t{r.outside} + r.count > kEnd) {
      return InvalidArgument("{} mapping {}:{}:{} is out of range", what, r.inside, r.outside,
                             r.count);
    }
    root = root || r.inside == 0;
    for (size_t j = 0; j < i; ++j) {
      const IdRange& other = ranges[j];
      if (Overlap(r.inside, r.count, other.inside, other.count) ||
          Overlap(r.outside, r.count, other.outside, other.count)) {
        return InvalidArgument("{} mapping {}:{}:{} overlaps {}:{}:{}", what, r.inside, r.outside,
                               r.count, other.inside, other.outside, other.count);
      }
    }
  }
  return root ? absl::OkStatus() : InvalidArgument("{} mapping does not map ID 0", what);
}

}  // namespace

absl::Status CheckMappings(const IdMappings& mappings) {
  if (mappings.empty()) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(CheckRanges(mappings.uids, "user ID"));
  return CheckRanges(mappings.gids, "group ID");
}

uint32_t MapToHost(const std::vector<IdRange>& ranges, uint32_t inside) {
  uint32_t root = inside;
  for (const IdRange& range : ranges) {
    if (inside >= range.inside && inside - range.inside < range.count) {
      return range.outside + (inside - range.inside);
    }
    root = range.inside == 0 ? range.outside : root;
  }
  return root;
}

std::string KernelMap(const std::vector<IdRange>& ranges) {
  std::string map;
  for (const IdRange& range : ranges) {
    map += fmt::format("{} {} {}\n", range.inside, range.outside, range.count);
  }
  return map;
}

}  // namespace davit::storage
