// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <string_view>

#include "base/status.h"
#include "base/text.h"
#include "server/spec/spec.h"

namespace davit::server::spec {
namespace {

constexpr size_t kMaxKey = 256;
constexpr size_t kMaxValue = 4096;

enum class Scope { kNone, kNetwork, kIpc };

struct Prefix {
  std::string_view text;
  bool whole;  // the key is just this
  Scope scope;
};
constexpr std::array kPrefixes = {
    Prefix{"net.", false, Scope::kNetwork},   Prefix{"kernel.shm", false, Scope::kIpc},
    Prefix{"kernel.msg", false, Scope::kIpc}, Prefix{"kernel.sem", true, Scope::kIpc},
    Prefix{"fs.mqueue.", false, Scope::kIpc},
};

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool IsKeyChar(char c) {
  return IsAlphanumeric(c) || c == '.' || c == '/' || c == '_' || c == '-';
}
// All that values of namespaced sysctls are made of. Not '+' and '=': they join and part settings
// in more than one tool's list.
bool IsValueChar(char c) {
  return IsAlphanumeric(c) || std::string_view(" \t,.:/_-").find(c) != std::string_view::npos;
}

// Every part between separators must be there: "net..x" or "net/../kernel/x" would name a file
// elsewhere beneath /proc/sys.
bool IsWellFormedKey(const std::string& key) {
  if (key.empty() || key.size() > kMaxKey || !std::all_of(key.begin(), key.end(), IsKeyChar)) {
    return false;
  }
  char last = '.';
  for (const char c : key) {
    const bool separator = c == '.' || c == '/';
    if (separator && (last == '.' || last == '/')) {
      return false;
    }
    last = c;
  }
  return last != '.' && last != '/';
}

// The namespace that a key belongs to. A key may be written with slashes ("net/ipv4/...").
Scope ScopeOf(std::string key) {
  if (const size_t first = key.find_first_of("./");
      first != std::string::npos && key[first] == '/') {
    std::replace(key.begin(), key.end(), '/', '.');
  }
  for (const Prefix& prefix : kPrefixes) {
    if (prefix.whole ? key == prefix.text
                     : key.size() > prefix.text.size() && key.rfind(prefix.text, 0) == 0) {
      return prefix.scope;
    }
  }
  return Scope::kNone;
}

absl::Status CheckSysctl(const std::string& key, const std::string& value,
                         const runtime::v1::NamespaceOption& namespaces) {
  const std::string shown = Printable(key, 80);
  if (!IsWellFormedKey(key)) {
    return InvalidArgument("sysctl \"{}\": is not a name of a sysctl", shown);
  }
  const Scope scope = ScopeOf(key);
  if (scope == Scope::kNone) {
    return InvalidArgument(
        "sysctl {}: belongs to no namespace of the pod; allowed are net.*, kernel.shm*, "
        "kernel.msg*, kernel.sem and fs.mqueue.*",
        shown);
  }
  if (scope == Scope::kNetwork && namespaces.network() == runtime::v1::NODE) {
    return InvalidArgument("sysctl {}: would change the host, the pod uses its network namespace",
                           shown);
  }
  if (scope == Scope::kIpc && namespaces.ipc() == runtime::v1::NODE) {
    return InvalidArgument("sysctl {}: would change the host, the pod uses its IPC namespace",
                           shown);
  }
  if (value.empty() || value.size() > kMaxValue ||
      !std::all_of(value.begin(), value.end(), IsValueChar)) {
    return InvalidArgument(
        "sysctl {}: the value \"{}\" is empty, too long or holds a character "
        "that no sysctl takes",
        shown, Printable(value, 80));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSysctls(const runtime::v1::PodSandboxConfig& sandbox) {
  const auto& namespaces = sandbox.linux().security_context().namespace_options();
  for (const auto& [key, value] : sandbox.linux().sysctls()) {
    RETURN_IF_ERROR(CheckSysctl(key, value, namespaces));
  }
  return absl::OkStatus();
}

}  // namespace davit::server::spec
