// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <ctime>
#include <iterator>

#include "base/status.h"
#include "base/text.h"

namespace davit::log {
namespace {

constexpr std::array<const char*, 5> kNames = {"trace", "debug", "info", "warning", "error"};
// A line that somebody else's text makes longer is cut.
constexpr size_t kMaxMessage = 8192;

std::atomic<Level> g_level{Level::kInfo};

}  // namespace

void SetLevel(Level level) {
  g_level.store(level, std::memory_order_relaxed);
}

bool Enabled(Level level) {
  return level >= g_level.load(std::memory_order_relaxed);
}

absl::Status SetLevelByName(const std::string& name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (name == kNames[i] || (name == "warn" && i == static_cast<size_t>(Level::kWarning))) {
      SetLevel(static_cast<Level>(i));
      return absl::OkStatus();
    }
  }
  return InvalidArgument("log level '{}' is unknown; use trace, debug, info, warning or error",
                         Printable(name, 40));
}

void Write(Level level, std::string_view message) {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  std::tm tm = {};
  gmtime_r(&now.tv_sec, &tm);
  fmt::basic_memory_buffer<char, 512> line;
  fmt::format_to(std::back_inserter(line), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z {:<7} ",
                 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                 now.tv_nsec / 1000, kNames[static_cast<size_t>(level)]);
  // Escaped, so that text from outside cannot forge a line of the log.
  const std::string text = Printable(message, kMaxMessage);
  line.append(text.data(), text.data() + text.size());
  line.push_back('\n');
  // One write(2) keeps lines of several threads whole. There is nobody to tell if it fails.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

void IfError(const absl::Status& status, std::string_view what) {
  if (!status.ok()) {
    Warning("{}: {}", what, Message(status));
  }
}

}  // namespace davit::log
