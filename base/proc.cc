// SPDX-License-Identifier: Apache-2.0
#include "base/proc.h"

#include <linux/capability.h>

#include <charconv>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"

namespace davit {
namespace {

constexpr size_t kMaxProcFile = 1U << 20U;

// The fields of /proc/PID/stat from the third on; the second, the name in brackets, may hold
// anything.
absl::StatusOr<std::vector<std::string>> StatFields(pid_t pid) {
  const std::string path = fmt::format("/proc/{}/stat", pid);
  absl::StatusOr<std::string> text = ReadFile(path, kMaxProcFile);
  if (!text.ok()) {
    // ESRCH and ENOENT: it ended before or while we read.
    return Annotate(text.status(), fmt::format("process {}", pid));
  }
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) {
    return Internal("{} holds no process name", path);
  }
  return Words(std::string_view(*text).substr(name_end + 1));
}

}  // namespace

absl::StatusOr<uint64_t> ProcessStartTime(pid_t pid) {
  ASSIGN_OR_RETURN(std::vector<std::string> fields, StatFields(pid));
  constexpr size_t kStartTime = 22 - 3;
  const auto start = fields.size() > kStartTime ? ParseUint(fields[kStartTime]) : std::nullopt;
  if (!start) {
    return Internal("/proc/{}/stat holds no start time", pid);
  }
  return *start;
}

std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::vector<pid_t> children;
  const std::string tasks = fmt::format("/proc/{}/task", pid);
  // Threads and children come and go while we look: what cannot be read is gone.
  const absl::StatusOr<std::vector<std::string>> threads = ListDir(tasks);
  if (!threads.ok()) {
    return children;
  }
  for (const std::string& thread : *threads) {
    const auto text = ReadFile(JoinPath(JoinPath(tasks, thread), "children"), kMaxProcFile);
    if (!text.ok()) {
      continue;
    }
    for (const std::string& word : Words(*text)) {
      if (const auto child = ParseInt(word)) {
        children.push_back(static_cast<pid_t>(*child));
      }
    }
  }
  return children;
}

std::vector<pid_t> SessionMembers(pid_t session) {
  std::vector<pid_t> members;
  const absl::StatusOr<std::vector<std::string>> names = ListDir("/proc");
  if (!names.ok()) {
    return members;
  }
  for (const std::string& name : *names) {
    const auto pid = ParseInt(name);
    if (!pid) {
      continue;
    }
    const auto fields = StatFields(static_cast<pid_t>(*pid));
    constexpr size_t kSession = 6 - 3;
    if (fields.ok() && fields->size() > kSession &&
        ParseInt((*fields)[kSession]) == static_cast<int64_t>(session)) {
      members.push_back(static_cast<pid_t>(*pid));
    }
  }
  return members;
}

int LowestOomScoreAdj() {
  constexpr int kLowest = -1000;
  const auto status = ReadFile("/proc/self/status", kMaxProcFile);
  if (status.ok()) {
    for (const std::string& line : Split(*status, '\n')) {
      constexpr std::string_view kKey = "CapEff:";
      if (line.compare(0, kKey.size(), kKey) != 0) {
        continue;
      }
      const std::string_view hex = Trim(std::string_view(line).substr(kKey.size()));
      uint64_t mask = 0;
      std::from_chars(hex.data(), hex.data() + hex.size(), mask, 16);
      if ((mask >> CAP_SYS_RESOURCE & 1U) != 0) {
        return kLowest;
      }
    }
  }
  const auto own = ReadFile("/proc/self/oom_score_adj", kMaxProcFile);
  const auto value = own.ok() ? ParseInt(Trim(*own)) : std::nullopt;
  return static_cast<int>(value.value_or(0));
}

}  // namespace davit
