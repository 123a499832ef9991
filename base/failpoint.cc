// SPDX-License-Identifier: Apache-2.0
#include "base/failpoint.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "base/status.h"
#include "base/text.h"

namespace davit::failpoint {
namespace {

enum class Action { kError, kCrash, kSleep };

struct Point {
  Action action = Action::kError;
  int64_t sleep_ms = 0;
  uint64_t only_hit = 0;  // 0: every one
  uint64_t hits = 0;
};

// The one state of the process that belongs to no object: the places are all over the code.
struct Registry {
  absl::Mutex mutex;
  std::map<std::string, Point, std::less<>> points ABSL_GUARDED_BY(mutex);
};

std::atomic<bool> g_armed{false};

Registry& TheRegistry() {
  static Registry& registry = *new Registry();
  return registry;
}

absl::StatusOr<Point> ParseAction(std::string_view text) {
  Point point;
  std::string_view action = text;
  if (const size_t at = action.find('@'); at != std::string_view::npos) {
    const auto hit = ParseUint(action.substr(at + 1));
    if (!hit || *hit == 0) {
      return InvalidArgument("failpoint action '{}': after '@' goes the number of a hit",
                             Printable(text, 100));
    }
    point.only_hit = *hit;
    action = action.substr(0, at);
  }
  constexpr std::string_view kSleep = "sleep:";
  if (action == "error") {
    point.action = Action::kError;
  } else if (action == "crash") {
    point.action = Action::kCrash;
  } else if (action.starts_with(kSleep)) {
    const auto milliseconds = ParseUint(action.substr(kSleep.size()));
    if (!milliseconds || *milliseconds > 3'600'000) {
      return InvalidArgument("failpoint action '{}': after 'sleep:' go milliseconds, up to 3600000",
                             Printable(text, 100));
    }
    point.action = Action::kSleep;
    point.sleep_ms = static_cast<int64_t>(*milliseconds);
  } else {
    return InvalidArgument("failpoint action '{}' is unknown; use error, crash or sleep:MS",
                           Printable(text, 100));
  }
  return point;
}

}  // namespace

absl::Status LoadFromEnvironment() {
  const char* const text = std::getenv("DAVIT_FAILPOINTS");
  return text == nullptr ? absl::OkStatus() : Load(text);
}

absl::Status Load(const std::string& text) {
  std::map<std::string, Point, std::less<>> points;
  for (const std::string& item : Split(text, ';')) {
    const std::string_view trimmed = Trim(item);
    if (trimmed.empty()) {
      continue;
    }
    const size_t equals = trimmed.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return InvalidArgument("failpoint '{}' is not of the form NAME=ACTION",
                             Printable(trimmed, 100));
    }
    ASSIGN_OR_RETURN(points[std::string(trimmed.substr(0, equals))],
                     ParseAction(trimmed.substr(equals + 1)));
  }
  Registry& registry = TheRegistry();
  absl::MutexLock lock(&registry.mutex);
  registry.points = std::move(points);
  g_armed.store(!registry.points.empty());
  return absl::OkStatus();
}

absl::Status Hit(const char* name) {
  if (!g_armed.load(std::memory_order_relaxed)) {
    return absl::OkStatus();
  }
  Point point;
  {
    Registry& registry = TheRegistry();
    absl::MutexLock lock(&registry.mutex);
    const auto it = registry.points.find(std::string_view(name));
    if (it == registry.points.end()) {
      return absl::OkStatus();
    }
    const uint64_t hit = ++it->second.hits;
    if (it->second.only_hit != 0 && it->second.only_hit != hit) {
      return absl::OkStatus();
    }
    point = it->second;
  }
  switch (point.action) {
    case Action::kSleep:
      std::this_thread::sleep_for(std::chrono::milliseconds(point.sleep_ms));
      return absl::OkStatus();
    case Action::kCrash:
      kill(getpid(), SIGKILL);
      pause();  // the signal is on its way
      return absl::OkStatus();
    case Action::kError:
      break;
  }
  return Internal("failpoint {}", name);
}

}  // namespace davit::failpoint
