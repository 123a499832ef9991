// SPDX-License-Identifier: Apache-2.0
#include "base/quantity.h"

#include <algorithm>
#include <limits>

#include "base/text.h"

namespace davit {

std::optional<uint64_t> ParseQuantity(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789";
  constexpr std::string_view kPowers = "kMGTP";
  const size_t end = std::min(text.find_first_not_of(kDigits), text.size());
  std::string_view unit = text.substr(end);
  std::optional<uint64_t> value = ParseUint(text.substr(0, end));
  if (!value || unit.size() > 2 || (unit.size() == 2 && unit[1] != 'i')) {
    return std::nullopt;
  }
  uint64_t factor = 1;
  if (!unit.empty()) {
    const bool binary = unit.size() == 2;
    const size_t power = unit[0] == 'K' && binary ? 0 : kPowers.find(unit[0]);
    if (power == std::string_view::npos || (unit[0] == 'k' && binary)) {
      return std::nullopt;
    }
    for (size_t i = 0; i <= power; ++i) {
      factor *= binary ? 1024 : 1000;
    }
  }
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  if (*value > kMax / factor) {
    return std::nullopt;
  }
  return *value * factor;
}

}  // namespace davit
