// SPDX-License-Identifier: Apache-2.0
#include "conmon/log_format.h"

#include <stdint.h>
#include <string.h>

namespace davit::conmon {
namespace {

struct Date {
  uint32_t year;
  uint32_t month;
  uint32_t day;
};

// Days since 1970-01-01 to the Gregorian calendar. Years are counted from March, so that the leap
// day is a year's last and months have a linear rule. (gmtime would bring in time zones.)
Date DateOfDay(uint32_t days) {
  const uint32_t shifted = days + 719468;  // since 0000-03-01
  const uint32_t era = shifted / 146097;   // of 400 years
  const uint32_t day_of_era = shifted % 146097;
  const uint32_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const uint32_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const uint32_t march_month = (5 * day_of_year + 2) / 153;
  const uint32_t day = day_of_year - (153 * march_month + 2) / 5 + 1;
  const uint32_t month = march_month < 10 ? march_month + 3 : march_month - 9;
  return {era * 400 + year_of_era + (month <= 2 ? 1U : 0U), month, day};
}

// `digits` decimal digits with leading zeros.
void PutDigits(char*& out, uint64_t value, int digits) {
  for (int i = digits - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  out += digits;
}

}  // namespace

EntryHeader::EntryHeader(const timespec& time, Text stream, bool full) {
  const auto seconds = static_cast<uint64_t>(time.tv_sec);
  const auto second_of_day = static_cast<uint32_t>(seconds % 86400);
  const Date date = DateOfDay(static_cast<uint32_t>(seconds / 86400));
  char stamp[30];
  char* out = stamp;
  PutDigits(out, date.year, 4);
  *out++ = '-';
  PutDigits(out, date.month, 2);
  *out++ = '-';
  PutDigits(out, date.day, 2);
  *out++ = 'T';
  PutDigits(out, second_of_day / 3600, 2);
  *out++ = ':';
  PutDigits(out, second_of_day / 60 % 60, 2);
  *out++ = ':';
  PutDigits(out, second_of_day % 60, 2);
  *out++ = '.';
  PutDigits(out, static_cast<uint64_t>(time.tv_nsec), 9);
  *out++ = 'Z';
  text_ << Text(stamp, sizeof(stamp)) << " " << stream << (full ? " F " : " P ");
}

EntryHeader::EntryHeader(const EntryHeader& other, bool full) {
  const Text all = other.text();
  text_ << Text(all.data, all.size - 2) << (full ? "F " : "P ");
}

bool NextEntry(Text bytes, size_t max_line, Entry* entry) {
  const bool over = bytes.size > max_line;
  const void* newline = memchr(bytes.data, '\n', over ? max_line + 1 : bytes.size);
  if (newline != nullptr) {
    const auto length = static_cast<size_t>(static_cast<const char*>(newline) - bytes.data);
    *entry = {{bytes.data, length}, true};
    return true;
  }
  if (over) {
    *entry = {{bytes.data, max_line}, false};
    return true;
  }
  return false;
}

}  // namespace davit::conmon
