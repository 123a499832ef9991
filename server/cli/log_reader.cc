// SPDX-License-Identifier: Apache-2.0
#include "server/cli/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "base/time.h"

namespace davit::server::cli {
namespace {

constexpr size_t kReadBytes = size_t{256} << 10U;
constexpr size_t kReadPacked = size_t{4} << 10U;   // what it unpacks to is held in memory
constexpr size_t kLongestLine = size_t{4} << 20U;  // a longer one is cut into several
constexpr int64_t kNanosPerSecond = 1'000'000'000;

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
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

absl::Status LogReader::Enter(const RotatedLog& log) {
  // Compressed meanwhile, it has another name.
  bool compressed = log.compressed;
  auto fd = davit::Open(log.path, O_RDONLY);
  if (absl::IsNotFound(fd.status()) && !compressed) {
    compressed = true;
    fd = davit::Open(log.path + ".gz", O_RDONLY);
  }
  RETURN_IF_ERROR(fd.status());
  fd_ = *std::move(fd);
  stamp_ = log.stamp;
  drained_ = false;
  decompressor_.reset();
  if (compressed) {
    unpacked_ = std::make_unique<std::string>();
    decompressor_ =
        image::Decompressor::Create([out = unpacked_.get()](std::span<const uint8_t> bytes) {
          out->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
          return absl::OkStatus();
        });
  }
  return absl::OkStatus();
}

absl::Status LogReader::EnterCurrent() {
  return Enter({.stamp = "", .path = path_, .compressed = false});
}

absl::StatusOr<LogReader> LogReader::Open(const std::string& path, int64_t since_ns) {
  LogReader reader(path);
  for (const RotatedLog& log : RotatedLogs(path)) {
    struct stat info = {};
    if (::stat(log.path.c_str(), &info) == 0 &&
        info.st_mtim.tv_sec * kNanosPerSecond + info.st_mtim.tv_nsec < since_ns) {
      continue;
    }
    if (reader.Enter(log).ok()) {
      return reader;
    }
  }
  RETURN_IF_ERROR(reader.EnterCurrent());
  return reader;
}

absl::StatusOr<LogReader> LogReader::OpenTail(const std::string& path, uint64_t lines) {
  LogReader reader(path);
  std::vector<RotatedLog> logs = RotatedLogs(path);
  absl::Status entered = reader.EnterCurrent();
  while (true) {
    if (entered.ok()) {
      uint64_t found = 0;
      if (reader.decompressor_) {
        found = CountCompressedLines(reader.fd_.get());
        reader.skip_ = found > lines ? found - lines : 0;
      } else {
        const LogEnd end = reader.stamp_.empty() ? LogEnd::kGrowing : LogEnd::kClosed;
        ASSIGN_OR_RETURN(const TailStart start, FindTail(reader.fd_.get(), lines, end));
        ::lseek(reader.fd_.get(), static_cast<off_t>(start.offset), SEEK_SET);
        found = start.lines;
      }
      if (found >= lines) {
        return reader;
      }
      lines -= found;
    }
    if (logs.empty()) {
      break;
    }
    // The one before; should it be gone, all there is has been seen.
    if (const absl::Status earlier = reader.Enter(logs.back()); earlier.ok()) {
      entered = earlier;
    } else if (entered.ok()) {
      break;
    }
    logs.pop_back();
  }
  RETURN_IF_ERROR(entered);
  return reader;
}

absl::StatusOr<bool> LogReader::Read() {
  std::string buffer(decompressor_ ? kReadPacked : kReadBytes, '\0');
  const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
  if (got < 0) {
    return ErrnoStatus(errno, "read " + path_);
  }
  if (!decompressor_) {
    rest_.append(buffer, 0, static_cast<size_t>(got));
    return got > 0;
  }
  const absl::Status status =
      got == 0 ? decompressor_->Finish()
               : decompressor_->Write(
                     {reinterpret_cast<const uint8_t*>(buffer.data()), static_cast<size_t>(got)});
  rest_ += std::exchange(*unpacked_, {});
  if (!status.ok()) {
    ::lseek(fd_.get(), 0, SEEK_END);
    decompressor_.reset();
    rest_ += "\ndavit: the log of " + stamp_ + " cannot be read on: " + Message(status) + "\n";
  }
  return got > 0 || !status.ok();
}

std::vector<std::string> LogReader::TakeLines() {
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n', begin)) {
    if (skip_ > 0) {
      --skip_;
    } else {
      lines.push_back(rest_.substr(begin, end - begin));
    }
    begin = end + 1;
  }
  rest_.erase(0, begin);
  if (rest_.size() > kLongestLine) {
    lines.push_back(std::exchange(rest_, {}));
  }
  return lines;
}

absl::StatusOr<std::vector<std::string>> LogReader::Next() {
  while (true) {
    ASSIGN_OR_RETURN(const bool more, Read());
    if (more) {
      drained_ = false;
    } else if (!Advance()) {
      return std::vector<std::string>();
    }
    auto lines = TakeLines();
    if (!lines.empty()) {
      return lines;
    }
  }
}

// The growing file may have been renamed while it was read.
std::string LogReader::StampOfOpen() const {
  struct stat ours = {};
  if (!stamp_.empty() || ::fstat(fd_.get(), &ours) != 0) {
    return stamp_;
  }
  for (const RotatedLog& log : RotatedLogs(path_)) {
    struct stat info = {};
    if (::stat(log.path.c_str(), &info) == 0 && SameFile(info, ours)) {
      return log.stamp;
    }
  }
  return "";
}

bool LogReader::Advance() {
  struct stat ours = {};
  struct stat current = {};
  const bool exists = ::stat(path_.c_str(), &current) == 0;
  if (::fstat(fd_.get(), &ours) != 0) {
    return false;
  }
  if (exists && SameFile(ours, current)) {
    const off_t offset = ::lseek(fd_.get(), 0, SEEK_CUR);
    if (offset <= ours.st_size) {
      return false;
    }
    ::lseek(fd_.get(), 0, SEEK_SET);  // truncated in place: it begins anew
    return true;
  }
  const std::string stamp = StampOfOpen();
  const RotatedLog* next = nullptr;
  const std::vector<RotatedLog> logs = RotatedLogs(path_);
  for (const RotatedLog& log : logs) {
    if (next == nullptr && !stamp.empty() && log.stamp > stamp) {
      next = &log;
    }
  }
  if (next == nullptr && !exists) {
    return false;  // renamed, and its writer does not know yet
  }
  if (!std::exchange(drained_, true)) {
    return true;  // it may have been written to until a moment ago
  }
  if (!(next != nullptr ? Enter(*next) : EnterCurrent()).ok()) {
    return false;
  }
  rest_ += rest_.empty() ? "" : "\n";  // it will not be completed
  return true;
}

}  // namespace davit::server::cli
