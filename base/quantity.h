// SPDX-License-Identifier: Apache-2.0
//
// Sizes as Kubernetes writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace davit {

// "1073741824", "10Gi", "500M" (Ki Mi Gi Ti Pi: powers of 1024; k M G T P: of 1000). Whole numbers
// only; nothing if the text is anything else or the size does not fit into 63 bits.
[[nodiscard]] std::optional<uint64_t> ParseQuantity(std::string_view text);

}  // namespace davit
