// SPDX-License-Identifier: Apache-2.0
#include "image/platform.h"

#include <sys/utsname.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

#include "base/text.h"

namespace davit::image {
namespace {

#if defined(__x86_64__)
// The levels of the x86-64 psABI by what tells them apart: clang 16 does not know their names.
int CpuLevel() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("ssse3") || !__builtin_cpu_supports("sse4.2") ||
      !__builtin_cpu_supports("popcnt")) {
    return 1;
  }
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") ||
      !__builtin_cpu_supports("bmi2") || !__builtin_cpu_supports("fma")) {
    return 2;
  }
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512cd") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return has_avx512 ? 4 : 3;
}
#else
int CpuLevel() {
  return 1;
}
#endif

// What an entry without a variant stands for.
int BaseLevel(std::string_view architecture) {
  static const std::map<std::string_view, int> levels = {{"amd64", 1}, {"arm64", 8}, {"arm", 7}};
  const auto it = levels.find(architecture);
  return it == levels.end() ? 0 : it->second;
}

// "v8" is 8, "v8.2" is 8 too: no image depends on the minor number.
std::optional<int> Level(std::string_view architecture, std::string_view variant) {
  if (variant.empty()) {
    return BaseLevel(architecture);
  }
  if (!variant.starts_with('v')) {
    return std::nullopt;
  }
  const auto number = ParseUint(variant.substr(1, variant.find('.') - 1));
  if (!number || *number > 100) {
    return std::nullopt;
  }
  return static_cast<int>(*number);
}

}  // namespace

Platform Platform::Host() {
  utsname name = {};
  uname(&name);
  return Of(name.machine, CpuLevel());
}

Platform Platform::Of(const std::string& machine, int cpu_level) {
  static const std::map<std::string_view, std::string_view> names = {
      {"x86_64", "amd64"},    {"aarch64", "arm64"}, {"i686", "386"},       {"i386", "386"},
      {"ppc64le", "ppc64le"}, {"s390x", "s390x"},   {"riscv64", "riscv64"}};
  const auto it = names.find(machine);
  Platform platform;
  platform.architecture = it == names.end() ? machine : it->second;
  if (platform.architecture == "amd64") {
    platform.level = cpu_level;
  } else if (platform.architecture == "arm64") {
    platform.level = 8;
  } else if (machine.starts_with("armv") &&
             machine.size() > 4) {  // armv5tel, armv6l, armv7l, armv8l
    platform.architecture = "arm";
    platform.level = std::clamp(machine[4] - '0', 5, 8);
  }
  return platform;
}

std::string Platform::text() const {
  return os + "/" + architecture;
}

int Platform::Fit(const std::string& entry_os, const std::string& entry_architecture,
                  const std::string& variant) const {
  if (entry_os != os || entry_architecture != architecture) {
    return 0;
  }
  const std::optional<int> wanted = Level(architecture, variant);
  return wanted && *wanted <= level ? *wanted + 1 : 0;
}

}  // namespace davit::image
