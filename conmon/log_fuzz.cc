// SPDX-License-Identifier: Apache-2.0
//
// A container's output on its way into log files: any bytes in pieces of any size, silence,
// rotations, limits, a disk that fills up. Whatever happens, each file holds whole entries, and
// every byte is in one of them or counted.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "conmon/fuzz_bytes.h"
#include "conmon/log.h"
#include "conmon/stream.h"

namespace {

using davit::conmon::Fd;
using davit::conmon::FuzzBytes;
using davit::conmon::Log;
using davit::conmon::Stream;

constexpr size_t kMostBytes = size_t{256} << 10U;  // that the container writes
constexpr size_t kPiece = size_t{32} << 10U;       // fits a pipe
constexpr size_t kHeader = sizeof("1970-01-01T00:00:00.000000000Z stdout F ") - 1;

void Require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

// A directory of this process, in which the log is.
class Directory {
 public:
  Directory() { Require(mkdtemp(path_) != nullptr); }
  ~Directory() {
    unlink(log().c_str());
    rmdir(path_);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  [[nodiscard]] std::string log() const { return std::string(path_) + "/log"; }

 private:
  char path_[32] = "/tmp/davit-log-fuzz-XXXXXX";
};

class Container {
 public:
  Container(std::string path, size_t max_line) : path_(std::move(path)) {
    int ends[2];
    Require(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    writer_.Reset(ends[1]);
    Require(stream_.Open("stdout", Fd(ends[0]), max_line) == 0);
    Require(log_.file.Open(path_.c_str()) == 0);
  }

  void Limit(uint64_t rate, uint64_t size) {
    limited_ = rate > 0 || size > 0;
    log_.Limit(rate, size);
  }

  void Write(const std::string& text) {
    for (size_t at = 0; at < text.size() && written_.size() < kMostBytes; at += kPiece) {
      const std::string piece = text.substr(at, kPiece);
      Require(write(writer_.get(), piece.data(), piece.size()) ==
              static_cast<ssize_t>(piece.size()));
      written_ += piece;
      int left = 0;
      while (ioctl(stream_.fd(), FIONREAD, &left) == 0 && left > 0) {
        stream_.Read(log_);
      }
    }
  }

  void Rest() { stream_.Rest(log_); }

  // The file is taken away, and what is in it looked at.
  void Rotate() {
    Collect();
    unlink(path_.c_str());
    Require(log_.file.Reopen() == 0);
  }

  // The disk takes so many bytes more.
  void WriteToFullDisk(const std::string& text, size_t room) {
    struct stat file = {};
    rlimit limit = {};
    Require(stat(path_.c_str(), &file) == 0 && getrlimit(RLIMIT_FSIZE, &limit) == 0);
    const rlimit full = {static_cast<rlim_t>(file.st_size) + room, limit.rlim_max};
    Require(setrlimit(RLIMIT_FSIZE, &full) == 0);
    Write(text);
    Require(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    failed_ = true;
  }

  void End() {
    writer_.Reset();
    while (stream_.open()) {
      stream_.Read(log_);
    }
    Collect();
    const uint64_t dropped = log_.dropped_bytes();
    if (!limited_ && !failed_) {
      Require(dropped == 0 && replayed_ == written_);
    }
    Require(replayed_.size() + dropped >= written_.size());
  }

 private:
  // What the entries of the file say.
  void Collect() {
    const Fd fd(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    std::string text;
    char buffer[4096];
    ssize_t count = 0;
    while ((count = read(fd.get(), buffer, sizeof(buffer))) > 0) {
      text.append(buffer, static_cast<size_t>(count));
    }
    // A torn entry gets its end when the next is written: there may be none.
    Require(text.empty() || text.back() == '\n' || failed_);
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      Replay(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }

  void Replay(const std::string& line) {
    const bool whole = line.size() >= kHeader && line.compare(29, 9, "Z stdout ") == 0 &&
                       (line[38] == 'F' || line[38] == 'P') && line[39] == ' ';
    Require(whole || failed_);
    if (whole) {
      replayed_ += line.substr(kHeader);
      replayed_ += line[38] == 'F' ? "\n" : "";
    }
  }

  const std::string path_;
  Fd writer_;
  Log log_;
  Stream stream_;
  bool limited_ = false;
  bool failed_ = false;
  std::string written_;
  std::string replayed_;
};

}  // namespace

// Two bytes choose the limits, the rest is a sequence of what happens.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  signal(SIGXFSZ, SIG_IGN);
  static const Directory directory;
  unlink(directory.log().c_str());
  FuzzBytes bytes(data, size);
  constexpr size_t kMaxLines[] = {1, 7, 100, 4096, 16384, 100'000};
  Container container(directory.log(), kMaxLines[bytes.Next() % 6]);
  const uint8_t limit = bytes.Next();
  container.Limit(limit % 4 == 1 ? limit * 10U : 0, limit % 4 == 2 ? limit * 100U : 0);
  while (!bytes.empty()) {
    const uint8_t what = bytes.Next();
    switch (what % 6) {
      case 0:
      case 1:
        container.Write(bytes.Some(what));
        break;
      case 2:  // more than the input could hold
        container.Write(std::string(size_t{bytes.Next()} << (what / 6U % 8), 'x') +
                        (what >= 128 ? "\n" : ""));
        break;
      case 3:
        container.Rest();
        break;
      case 4:
        container.Rotate();
        break;
      default: {
        const std::string text = bytes.Some(what);
        container.WriteToFullDisk(text, bytes.Next());
      }
    }
  }
  container.End();
  return 0;
}
