// SPDX-License-Identifier: Apache-2.0
#include "base/mapped_pages.h"

#include <sys/mman.h>

#include <cerrno>
#include <charconv>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"

namespace davit {
namespace {

constexpr size_t kMaxSmaps = 8U << 20U;

// "7f12-7f34 r-xp 00001000 fd:00 1234   /usr/lib/x.so": of a file, private, and not for writing.
bool IsFileRange(std::string_view line, MappedRange& range) {
  const auto words = Words(line);
  if (words.size() < 6 || words[1].size() != 4 || words[1][0] != 'r' || words[1][1] != '-' ||
      words[1][3] != 'p' || words[5].front() != '/') {
    return false;
  }
  const char* const end = words[0].data() + words[0].size();
  const auto first = std::from_chars(words[0].data(), end, range.begin, 16);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-') {
    return false;
  }
  return std::from_chars(first.ptr + 1, end, range.end, 16).ec == std::errc();
}

}  // namespace

std::vector<MappedRange> CleanFileRanges(std::string_view smaps) {
  std::vector<MappedRange> ranges;
  MappedRange range;
  bool is_file = false;
  for (const std::string& line : Split(smaps, '\n')) {
    constexpr std::string_view kAnonymous = "Anonymous:";
    if (line.compare(0, kAnonymous.size(), kAnonymous) == 0) {
      if (is_file && Trim(line.substr(kAnonymous.size())) == "0 kB") {
        ranges.push_back(range);
      }
      is_file = false;
    } else if (!line.empty() && line.find(':') > line.find('-')) {
      is_file = IsFileRange(line, range);
    }
  }
  return ranges;
}

absl::Status DropMappedPages() {
  ASSIGN_OR_RETURN(const std::string smaps, ReadFile("/proc/self/smaps", kMaxSmaps));
  for (const MappedRange& range : CleanFileRanges(smaps)) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): addresses come as text
    if (madvise(reinterpret_cast<void*>(range.begin), range.end - range.begin, MADV_DONTNEED) !=
        0) {
      return ErrnoStatus(errno, "drop mapped pages");
    }
  }
  return absl::OkStatus();
}

}  // namespace davit
