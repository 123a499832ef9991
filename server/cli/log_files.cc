// SPDX-License-Identifier: Apache-2.0
#include "server/cli/log_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string_view>

#include "base/file.h"
#include "base/status.h"
#include "image/decompress.h"

namespace davit::server::cli {
namespace {

constexpr size_t kBlock = size_t{64} << 10U;
constexpr std::string_view kStampForm = "dddddddd-dddddd";
constexpr std::string_view kCompressed = ".gz";

bool IsStamp(std::string_view text) {
  return text.size() == kStampForm.size() &&
         std::equal(text.begin(), text.end(), kStampForm.begin(), [](char have, char want) {
           return want == 'd' ? have >= '0' && have <= '9' : have == want;
         });
}

}  // namespace

std::vector<RotatedLog> RotatedLogs(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string dir = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string prefix = path.substr(slash + 1) + ".";
  const auto names = ListDir(dir);
  std::vector<RotatedLog> logs;
  if (!names.ok()) {
    return logs;
  }
  for (const std::string& name : *names) {
    if (!name.starts_with(prefix)) {
      continue;
    }
    const bool compressed = name.ends_with(kCompressed);
    const std::string stamp = name.substr(
        prefix.size(), name.size() - prefix.size() - (compressed ? kCompressed.size() : 0));
    // Both forms of one are there while the kubelet compresses it; names are sorted.
    if (IsStamp(stamp) && (logs.empty() || logs.back().stamp != stamp)) {
      logs.push_back({stamp, JoinPath(dir, name), compressed});
    }
  }
  return logs;
}

absl::StatusOr<TailStart> FindTail(int fd, uint64_t wanted, LogEnd end) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) {
    return ErrnoStatus(errno, "ask for the size of a log");
  }
  auto begin = static_cast<uint64_t>(info.st_size);
  TailStart found{.lines = 0, .offset = begin};
  char last = '\n';
  if (end == LogEnd::kClosed && begin > 0 &&
      pread(fd, &last, 1, static_cast<off_t>(begin - 1)) == 1 && last != '\n') {
    found.lines = 1;
  }
  std::string block(kBlock, '\0');
  // A line begins behind the newline of the one before: one more is looked for.
  while (begin > 0) {
    const uint64_t size = std::min<uint64_t>(begin, kBlock);
    begin -= size;
    const ssize_t count = pread(fd, block.data(), size, static_cast<off_t>(begin));
    if (count < 0) {
      return ErrnoStatus(errno, "read a log from its end");
    }
    for (auto at = static_cast<uint64_t>(count); at > 0; --at) {
      if (block[at - 1] != '\n') {
        continue;
      }
      if (found.lines == wanted) {
        found.offset = begin + at;
        return found;
      }
      ++found.lines;
    }
  }
  found.offset = 0;
  return found;
}

uint64_t CountCompressedLines(int fd) {
  uint64_t lines = 0;
  uint8_t last = '\n';
  const auto decompressor = image::Decompressor::Create([&](std::span<const uint8_t> bytes) {
    lines += static_cast<uint64_t>(std::count(bytes.begin(), bytes.end(), '\n'));
    last = bytes.empty() ? last : bytes.back();
    return absl::OkStatus();
  });
  std::vector<uint8_t> block(kBlock);
  uint64_t offset = 0;
  while (true) {
    const ssize_t count = pread(fd, block.data(), block.size(), static_cast<off_t>(offset));
    if (count <= 0 ||
        !decompressor->Write(std::span(block).first(static_cast<size_t>(count))).ok()) {
      return lines + (last == '\n' ? 0 : 1);
    }
    offset += static_cast<uint64_t>(count);
  }
}

}  // namespace davit::server::cli
