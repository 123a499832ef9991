// SPDX-License-Identifier: Apache-2.0
#include "server/oci/runtime_error.h"

#include "base/json.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::server::oci {
namespace {

constexpr size_t kMaxMessage = 2000;

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// crun names a missing command in its own words; users search for the other ones.
std::string Familiar(std::string_view text) {
  constexpr std::string_view kBefore = "executable file `";
  constexpr std::string_view kAfter = "` not found in $PATH";
  const size_t begin = text.find(kBefore);
  const size_t end = text.find(kAfter);
  if (begin == std::string_view::npos || end == std::string_view::npos ||
      end < begin + kBefore.size()) {
    return std::string(text);
  }
  const std::string_view command =
      text.substr(begin + kBefore.size(), end - begin - kBefore.size());
  // A path is not looked for in PATH.
  if (Contains(command, "/")) {
    return fmt::format("exec: \"{0}\": stat {0}: no such file or directory", command);
  }
  return fmt::format("exec: \"{}\": executable file not found in $PATH", command);
}

}  // namespace

std::string LastRuntimeError(std::string_view log) {
  std::string last;
  for (const std::string& line : Split(log, '\n')) {
    const std::string_view trimmed = Trim(line);
    if (trimmed.empty()) {
      continue;
    }
    const auto entry = ParseJson(trimmed, "a line of the runtime's log");
    if (!entry.ok()) {
      last = trimmed;
      continue;
    }
    const std::string level = JsonString(*entry, "level");
    if (level == "error" || level == "fatal" || level == "panic") {
      last = JsonString(*entry, "msg");
    }
  }
  return last;
}

absl::Status RuntimeErrorStatus(const std::string& what, std::string_view text) {
  const std::string message = Printable(Familiar(Trim(text)), kMaxMessage);
  if (Contains(message, "executable file not found") ||
      (Contains(message, "exec: ") && Contains(message, "no such file or directory")) ||
      Contains(message, "permission denied") || Contains(message, "open executable")) {
    return InvalidArgument("{}: {}", what, message);
  }
  if (IsUnknownContainer(message) || Contains(message, "is not running") ||
      Contains(message, "stopped container")) {
    return FailedPrecondition("{}: {}", what, message);
  }
  return Internal("{}: {}", what, message);
}

bool IsUnknownContainer(std::string_view text) {
  return Contains(text, "does not exist") || Contains(text, "/status`: No such file or directory");
}

}  // namespace davit::server::oci
