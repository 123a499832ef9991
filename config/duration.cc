// SPDX-License-Identifier: Apache-2.0
#include "config/duration.h"

#include <array>
#include <limits>
#include <utility>

#include "base/text.h"

namespace davit::config {
namespace {

struct Unit {
  const char* suffix;
  int64_t milliseconds;
};
constexpr std::array<Unit, 4> kUnits = {{{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}}};

}  // namespace

std::optional<std::chrono::milliseconds> ParseDuration(const std::string& text) {
  if (text == "0") {
    return std::chrono::milliseconds(0);
  }
  const size_t digits = text.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string::npos) {
    return std::nullopt;
  }
  const auto count = ParseInt(text.substr(0, digits));
  const std::string suffix = text.substr(digits);
  for (const Unit& unit : kUnits) {
    if (count && suffix == unit.suffix &&
        *count <= std::numeric_limits<int64_t>::max() / unit.milliseconds) {
      return std::chrono::milliseconds(*count * unit.milliseconds);
    }
  }
  return std::nullopt;
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  for (const Unit& unit : kUnits) {
    if (duration.count() != 0 && duration.count() % unit.milliseconds == 0) {
      return std::to_string(duration.count() / unit.milliseconds) + unit.suffix;
    }
  }
  return "0";
}

}  // namespace davit::config
