// SPDX-License-Identifier: Apache-2.0
//
// The daemon's log: one line an event on stderr (systemd keeps it), `time level message`. Text in
// the message names the object (`sandbox 1a2b3c4d5e6f: …`). Log or return an error, never both.
// Secrets never reach it. Thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include <fmt/format.h>

namespace davit::log {

enum class Level { kTrace, kDebug, kInfo, kWarning, kError };

void SetLevel(Level level);
[[nodiscard]] bool Enabled(Level level);
// InvalidArgument names the known levels.
absl::Status SetLevelByName(const std::string& name);
// A client command logs only what it prints itself.
void Write(Level level, std::string_view message);

#define DAVIT_LOG_FUNCTION(Name, kLevel)                                      \
  template <typename... Args>                                                 \
  void Name(fmt::format_string<Args...> format, Args&&... args) {             \
    if (Enabled(Level::kLevel)) {                                             \
      Write(Level::kLevel, fmt::format(format, std::forward<Args>(args)...)); \
    }                                                                         \
  }
DAVIT_LOG_FUNCTION(Trace, kTrace)
DAVIT_LOG_FUNCTION(Debug, kDebug)
DAVIT_LOG_FUNCTION(Info, kInfo)
DAVIT_LOG_FUNCTION(Warning, kWarning)
DAVIT_LOG_FUNCTION(Error, kError)
#undef DAVIT_LOG_FUNCTION

// For a step whose failure must not stop the rest (cleanup): logs it with what was attempted.
void IfError(const absl::Status& status, std::string_view what);

}  // namespace davit::log
