// SPDX-License-Identifier: Apache-2.0
#include "base/time.h"

#include <array>
#include <chrono>
#include <ctime>
#include <limits>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "base/text.h"

namespace davit {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

// Reads fixed fields from the front of a text.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  std::optional<int> Digits(size_t count) {
    if (rest_.size() < count) {
      return std::nullopt;
    }
    int value = 0;
    for (const char c : rest_.substr(0, count)) {
      if (c < '0' || c > '9') {
        return std::nullopt;
      }
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }
  bool Char(char lower, char upper) {
    if (rest_.empty() || (rest_.front() != lower && rest_.front() != upper)) {
      return false;
    }
    rest_.remove_prefix(1);
    return true;
  }
  bool Char(char c) { return Char(c, c); }
  // The digits after the point, as nanoseconds; more than nine are cut.
  std::optional<int64_t> Fraction() {
    int64_t nanos = 0;
    int64_t unit = kSecond;
    size_t count = 0;
    while (count < rest_.size() && rest_[count] >= '0' && rest_[count] <= '9') {
      unit /= 10;
      nanos += unit * (rest_[count] - '0');
      ++count;
    }
    rest_.remove_prefix(count);
    return count == 0 ? std::nullopt : std::optional(nanos);
  }
  [[nodiscard]] bool done() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

// Offset from UTC in seconds: "Z" or "+hh:mm".
std::optional<int64_t> ReadOffset(Reader& reader) {
  if (reader.Char('Z', 'z')) {
    return 0;
  }
  const bool west = reader.Char('-');
  if (!west && !reader.Char('+')) {
    return std::nullopt;
  }
  const auto hours = reader.Digits(2);
  if (!hours || !reader.Char(':')) {
    return std::nullopt;
  }
  const auto minutes = reader.Digits(2);
  if (!minutes || *hours > 23 || *minutes > 59) {
    return std::nullopt;
  }
  return (west ? -1 : 1) * (*hours * 3600 + *minutes * 60);
}

std::optional<std::tm> ReadDateTime(Reader& reader) {
  const auto year = reader.Digits(4);
  const bool dash1 = reader.Char('-');
  const auto month = reader.Digits(2);
  const bool dash2 = reader.Char('-');
  const auto day = reader.Digits(2);
  const bool separator = reader.Char('t', 'T');
  const auto hour = reader.Digits(2);
  const bool colon1 = reader.Char(':');
  const auto minute = reader.Digits(2);
  const bool colon2 = reader.Char(':');
  const auto second = reader.Digits(2);
  if (!year || !month || !day || !hour || !minute || !second || !dash1 || !dash2 || !separator ||
      !colon1 || !colon2) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  std::tm tm = {};
  tm.tm_year = *year - 1900;
  tm.tm_mon = *month - 1;
  tm.tm_mday = *day;
  tm.tm_hour = *hour;
  tm.tm_min = *minute;
  tm.tm_sec = *second;
  return tm;
}

}  // namespace

int64_t NowNanos() {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<int64_t>(now.tv_sec) * kSecond + now.tv_nsec;
}

std::string Rfc3339Nano(int64_t nanos) {
  int64_t fraction = nanos % kSecond;
  time_t seconds = nanos / kSecond;
  if (fraction < 0) {
    fraction += kSecond;
    --seconds;
  }
  std::tm tm = {};
  gmtime_r(&seconds, &tm);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", tm.tm_year + 1900, tm.tm_mon + 1,
                     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, fraction);
}

absl::StatusOr<int64_t> ParseRfc3339(const std::string& text) {
  Reader reader(text);
  std::optional<std::tm> tm = ReadDateTime(reader);
  std::optional<int64_t> fraction = 0;
  if (tm && reader.Char('.')) {
    fraction = reader.Fraction();
  }
  std::optional<int64_t> offset;
  if (tm && fraction) {
    offset = ReadOffset(reader);
  }
  if (!offset || !reader.done()) {
    return InvalidArgument("time '{}' is not of the form 2006-01-02T15:04:05.999Z",
                           Printable(text, 60));
  }
  const int64_t seconds = timegm(&*tm) - *offset;
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max() / kSecond;
  if (seconds >= kMax || seconds <= -kMax) {
    return InvalidArgument("time '{}' is out of range", text);
  }
  return seconds * kSecond + *fraction;
}

std::string HumanAge(int64_t nanos_ago) {
  struct Unit {
    int64_t seconds;
    const char* name;
  };
  constexpr std::array<Unit, 6> kUnits = {{{365 * 86400, "year"},
                                           {30 * 86400, "month"},
                                           {7 * 86400, "week"},
                                           {86400, "day"},
                                           {3600, "hour"},
                                           {60, "minute"}}};
  const int64_t seconds = nanos_ago / kSecond;
  if (seconds < 1) {
    return "just now";
  }
  for (const Unit& unit : kUnits) {
    if (seconds >= unit.seconds) {
      const int64_t count = seconds / unit.seconds;
      return fmt::format("{} {}{} ago", count, unit.name, count == 1 ? "" : "s");
    }
  }
  return fmt::format("{} second{} ago", seconds, seconds == 1 ? "" : "s");
}

std::string HumanDuration(int64_t nanos) {
  if (nanos < 0) {
    // The one value without a positive counterpart is near enough to the next.
    return "-" + HumanDuration(-std::max(nanos, -std::numeric_limits<int64_t>::max()));
  }
  if (nanos < 1'000) {
    return fmt::format("{}ns", nanos);
  }
  if (nanos < 1'000'000) {
    return fmt::format("{}us", nanos / 1'000);
  }
  if (nanos < kSecond) {
    return fmt::format("{}ms", nanos / 1'000'000);
  }
  const int64_t seconds = nanos / kSecond;
  if (seconds < 60) {
    return fmt::format("{:.2f}s", static_cast<double>(nanos / 10'000'000) / 100.0);
  }
  if (seconds < 3600) {
    return fmt::format("{}m{}s", seconds / 60, seconds % 60);
  }
  if (seconds < 86400) {
    return fmt::format("{}h{}m", seconds / 3600, seconds % 3600 / 60);
  }
  return fmt::format("{}d{}h", seconds / 86400, seconds % 86400 / 3600);
}

std::string HumanBytes(uint64_t bytes) {
  constexpr std::array<const char*, 7> kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) {
    return fmt::format("{} B", bytes);
  }
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  // 999.95 would be printed as "1000.0".
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace davit
