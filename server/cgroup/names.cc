// SPDX-License-Identifier: Apache-2.0
#include "server/cgroup/names.h"

#include <algorithm>

#include "base/status.h"
#include "base/text.h"

namespace davit::server {
namespace {

constexpr std::string_view kSlice = ".slice";
constexpr std::string_view kScope = ".scope";
constexpr size_t kMaxUnitName = 255;

bool HasControlCharacter(const std::string& text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
}

// Of unit names, systemd.unit(5).
bool IsUnitCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view(":-_.\\").find(c) != std::string_view::npos;
}

}  // namespace

absl::StatusOr<std::string> NormalizeCgroup(const std::string& cgroup) {
  std::string path;
  for (const auto& part : Split(cgroup, '/')) {
    if (part.empty()) {
      continue;
    }
    if (part == "." || part == ".." || HasControlCharacter(part)) {
      return InvalidArgument("cgroup parent {} is not a plain path: {} is not allowed in it",
                             Printable(cgroup), Printable(part));
    }
    path += "/" + part;
  }
  if (path.empty()) {
    return InvalidArgument("cgroup parent {} names the root cgroup, which holds no pods",
                           Printable(cgroup));
  }
  return path;
}

bool IsSlice(std::string_view cgroup) {
  return cgroup.ends_with(kSlice);
}

bool IsScope(std::string_view cgroup) {
  return cgroup.ends_with(kScope);
}

std::string UnitOf(std::string_view cgroup) {
  return std::string(cgroup.substr(cgroup.rfind('/') + 1));
}

absl::StatusOr<std::string> SlicePath(const std::string& slice) {
  const std::string stem =
      IsSlice(slice) ? slice.substr(0, slice.size() - kSlice.size()) : std::string();
  if (stem.empty() || slice.size() > kMaxUnitName ||
      !std::all_of(stem.begin(), stem.end(), IsUnitCharacter)) {
    return InvalidArgument("{} cannot be the name of a slice of systemd", Printable(slice));
  }
  std::string path;
  for (size_t end = stem.find('-');; end = stem.find('-', end + 1)) {
    const std::string prefix = stem.substr(0, end);
    if (prefix.empty() || prefix.back() == '-') {
      return InvalidArgument("{} cannot be the name of a slice of systemd: a part of it is empty",
                             Printable(slice));
    }
    path += "/" + prefix + std::string(kSlice);
    if (end == std::string::npos) {
      return path;
    }
  }
}

absl::StatusOr<std::string> SliceFor(const std::string& cgroup) {
  ASSIGN_OR_RETURN(const std::string path, NormalizeCgroup(cgroup));
  if (IsSlice(path)) {
    return UnitOf(path);
  }
  std::string slice;
  for (std::string part : Split(path.substr(1), '/')) {
    std::replace(part.begin(), part.end(), '-', '_');
    slice += (slice.empty() ? "" : "-") + part;
  }
  return slice + std::string(kSlice);
}

}  // namespace davit::server
