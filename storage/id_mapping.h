// SPDX-License-Identifier: Apache-2.0
//
// Which IDs of the host the IDs of a user namespace are (user_namespaces(7)).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace davit::storage {

// `count` IDs of a user namespace from `inside` on are the host's from `outside` on.
struct IdRange {
  uint32_t inside = 0;
  uint32_t outside = 0;
  uint32_t count = 0;
  bool operator==(const IdRange&) const = default;
};

struct IdMappings {
  std::vector<IdRange> uids;
  std::vector<IdRange> gids;
  [[nodiscard]] bool empty() const { return uids.empty() && gids.empty(); }
  bool operator==(const IdMappings&) const = default;
};

// OK if both lists or neither have ranges, ID 0 is mapped, nothing overlaps or passes the end, and
// the kernel takes that many (340).
absl::Status CheckMappings(const IdMappings& mappings);

// The host's ID of `inside`; of an ID that no range holds, the host's ID of 0; `inside` itself if
// there are no ranges.
[[nodiscard]] uint32_t MapToHost(const std::vector<IdRange>& ranges, uint32_t inside);

// As /proc/PID/uid_map wants it: "INSIDE OUTSIDE COUNT\n" for each range.
[[nodiscard]] std::string KernelMap(const std::vector<IdRange>& ranges);

}  // namespace davit::storage
