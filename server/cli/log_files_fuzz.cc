// SPDX-License-Identifier: Apache-2.0
//
// A log over its files, of any bytes: read from its beginning and from any number of lines before
// its end, it is the same.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "server/cli/log_reader.h"

namespace {

using davit::server::cli::LogReader;

constexpr size_t kMaxFiles = 4;
constexpr char kNextFile = '\xff';

void Require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

// A log in a directory of this process.
class Directory {
 public:
  Directory() { Require(mkdtemp(path_) != nullptr); }
  ~Directory() {
    Clear();
    rmdir(path_);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  [[nodiscard]] std::string log() const { return std::string(path_) + "/log"; }
  void Write(const std::string& file, std::string_view text) {
    const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    Require(fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    close(fd);
    files_.push_back(file);
  }
  void Clear() {
    for (const std::string& file : files_) {
      unlink(file.c_str());
    }
    files_.clear();
  }

 private:
  char path_[32] = "/tmp/davit-log-fuzz-XXXXXX";
  std::vector<std::string> files_;
};

std::vector<std::string> AllOf(absl::StatusOr<LogReader> reader) {
  Require(reader.ok());
  std::vector<std::string> all;
  while (true) {
    auto lines = reader->Next();
    Require(lines.ok());
    if (lines->empty()) {
      return all;
    }
    all.insert(all.end(), lines->begin(), lines->end());
  }
}

// The files of an input, the growing one last.
std::vector<std::string_view> FilesOf(std::string_view input) {
  std::vector<std::string_view> files;
  for (size_t end = input.find(kNextFile);
       end != std::string_view::npos && files.size() + 1 < kMaxFiles; end = input.find(kNextFile)) {
    files.push_back(input.substr(0, end));
    input.remove_prefix(end + 1);
  }
  files.push_back(input);
  return files;
}

// What there is to read: a file that is left ends its last line.
std::vector<std::string> LinesOf(const std::vector<std::string_view>& files) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < files.size(); ++i) {
    std::string_view text = files[i];
    for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
      lines.emplace_back(text.substr(0, end));
      text.remove_prefix(end + 1);
    }
    if (!text.empty() && i + 1 < files.size()) {
      lines.emplace_back(text);
    }
  }
  return lines;
}

}  // namespace

// The first byte says how many lines are wanted, the second which files are compressed.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) {
    return 0;
  }
  static Directory directory;
  directory.Clear();
  const std::vector<std::string_view> files =
      FilesOf({reinterpret_cast<const char*>(data) + 2, size - 2});
  bool compressed = false;
  for (size_t i = 0; i + 1 < files.size(); ++i) {
    const bool packed = (data[1] >> i & 1U) != 0;
    compressed = compressed || packed;
    directory.Write(directory.log() + ".20260102-00000" + std::to_string(i) + (packed ? ".gz" : ""),
                    files[i]);
  }
  directory.Write(directory.log(), files.back());
  const size_t wanted = data[0] % 16U;
  const std::vector<std::string> all = AllOf(LogReader::Open(directory.log()));
  const std::vector<std::string> tail = AllOf(LogReader::OpenTail(directory.log(), wanted));
  if (!compressed) {
    Require(all == LinesOf(files));
    const size_t count = std::min(wanted, all.size());
    Require(tail == std::vector<std::string>(all.end() - static_cast<ptrdiff_t>(count), all.end()));
  }
  return 0;
}
