// SPDX-License-Identifier: Apache-2.0
#include "base/caps.h"

#include <sys/capability.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/status.h"
#include "base/text.h"

namespace davit {
namespace {

struct CapFree {
  void operator()(void* object) const { cap_free(object); }
};

std::string Upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return text;
}

}  // namespace

absl::StatusOr<std::set<std::string>> OwnCapabilities() {
  const std::unique_ptr<_cap_struct, CapFree> own(cap_get_proc());
  if (!own) {
    return ErrnoStatus(errno, "read the daemon's capabilities");
  }
  std::set<std::string> names;
  for (cap_value_t value = 0; value < cap_max_bits(); ++value) {
    cap_flag_value_t permitted = CAP_CLEAR;
    if (cap_get_bound(value) != 1 ||
        cap_get_flag(own.get(), value, CAP_PERMITTED, &permitted) != 0 || permitted != CAP_SET) {
      continue;
    }
    const std::unique_ptr<char, CapFree> name(cap_to_name(value));
    // A capability newer than the library has a number for a name, which no OCI runtime takes.
    if (name && Lower(name.get()).starts_with("cap_")) {
      names.insert(Upper(name.get()));
    }
  }
  return names;
}

absl::StatusOr<std::string> NormalizeCapability(const std::string& name) {
  std::string lower = Lower(name);
  if (!lower.starts_with("cap_")) {
    lower = "cap_" + lower;
  }
  const bool letters = std::all_of(lower.begin(), lower.end(),
                                   [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
  cap_value_t value = 0;
  if (!letters || cap_from_name(lower.c_str(), &value) != 0) {
    return InvalidArgument("capability '{}' is unknown", Printable(name, 60));
  }
  return Upper(lower);
}

}  // namespace davit
