// SPDX-License-Identifier: Apache-2.0
#include "server/cli/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/status.h"
#include "base/time.h"

namespace davit::server::cli {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kLongestLine = 4 << 20;  // a longer one is cut into several

uint64_t InodeOf(int fd) {
  struct stat info = {};
  return ::fstat(fd, &info) == 0 ? info.st_ino : 0;
}

}  // namespace

std::optional<LogLine> ParseLogLine(std::string_view line) {
  const size_t first = line.find(' ');
  if (first == std::string_view::npos) {
    return std::nullopt;
  }
  const size_t second = line.find(' ', first + 1);
  if (second == std::string_view::npos) {
    return std::nullopt;
  }
  size_t third = line.find(' ', second + 1);
  third = third == std::string_view::npos ? line.size() : third;
  LogLine parsed;
  parsed.time_text = line.substr(0, first);
  const auto time = ParseRfc3339(parsed.time_text);
  const std::string_view stream = line.substr(first + 1, second - first - 1);
  const std::string_view tag = line.substr(second + 1, third - second - 1);
  if (!time.ok() || (stream != "stdout" && stream != "stderr") || (tag != "F" && tag != "P")) {
    return std::nullopt;
  }
  parsed.time_ns = *time;
  parsed.is_stderr = stream == "stderr";
  parsed.partial = tag == "P";
  parsed.text = third < line.size() ? line.substr(third + 1) : std::string_view();
  return parsed;
}

absl::StatusOr<LogReader> LogReader::Open(const std::string& path) {
  LogReader reader(path);
  ASSIGN_OR_RETURN(reader.fd_, davit::Open(path, O_RDONLY));
  reader.inode_ = InodeOf(reader.fd_.get());
  return reader;
}

absl::StatusOr<std::vector<std::string>> LogReader::Next() {
  std::vector<std::string> lines;
  std::string buffer(kReadBytes, '\0');
  const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
  if (got < 0) {
    return ErrnoStatus(errno, "read " + path_);
  }
  rest_.append(buffer, 0, static_cast<size_t>(got));
  size_t begin = 0;
  for (size_t end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n', begin)) {
    lines.push_back(rest_.substr(begin, end - begin));
    begin = end + 1;
  }
  rest_.erase(0, begin);
  if (rest_.size() > kLongestLine) {
    lines.push_back(std::move(rest_));
    rest_.clear();
  }
  return lines;
}

bool LogReader::Reopen() {
  struct stat info = {};
  if (::stat(path_.c_str(), &info) != 0 || info.st_ino == inode_) {
    return false;
  }
  auto fd = davit::Open(path_, O_RDONLY);
  if (!fd.ok()) {
    return false;
  }
  fd_ = *std::move(fd);
  inode_ = InodeOf(fd_.get());
  rest_.clear();
  return true;
}

}  // namespace davit::server::cli
