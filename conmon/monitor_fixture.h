// SPDX-License-Identifier: Apache-2.0
//
// The monitor's program with a shell script in place of the OCI runtime: "containers" are processes
// of this machine. Needs no privileges.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/pipe.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "conmon/protocol.h"

namespace davit {

// Starts BUNDLE/command and leaves it behind, as `run --detach` does. The command begins when the
// script has ended, which closes its end of the FIFO: a shell collects a child that ends before.
inline constexpr char kScriptRuntime[] = R"(#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
    --bundle) bundle=$2; shift ;;
    --pid-file) pid_file=$2; shift ;;
  esac
  shift
done
if [ -e "$bundle/fail" ]; then echo "no such container" >&2; exit 1; fi
exec 3<&0  # a shell gives what it leaves behind no input of its own accord
[ -p "$bundle/gate" ] || mkfifo "$bundle/gate"
/bin/sh -c 'read _ < "$1/gate"; exec /bin/sh "$1/command"' sh "$bundle" <&3 3<&- &
echo $! > "$pid_file"
exec 4> "$bundle/gate"
)";

class MonitorTest : public testing::Test {
 protected:
  MonitorTest() {
    char pattern[] = "/tmp/monitor_test.XXXXXX";
    dir_ = mkdtemp(pattern);
    log_path_ = dir_ + "/logs/0.log";
    std::filesystem::create_directories(dir_ + "/run");
    std::filesystem::create_directories(dir_ + "/logs");
    EXPECT_TRUE(WriteFileAtomic(dir_ + "/runtime", kScriptRuntime, 0700).ok());
  }
  ~MonitorTest() override {
    if (container_ > 0 && !ended_) {
      kill(container_, SIGKILL);
      AwaitEnd();
    }
    std::filesystem::remove_all(dir_);
  }

  // Until its report.
  void Start(const std::string& script, std::vector<std::string> more = {}) {
    ASSERT_TRUE(WriteFileAtomic(dir_ + "/command", script + "\n").ok());
    auto report = MakePipe();
    ASSERT_TRUE(report.ok());
    SpawnOptions options;
    options.argv = {DAVIT_CONMON_PATH,
                    "--id",
                    "test",
                    "--run-dir",
                    dir_ + "/run",
                    "--bundle",
                    dir_,
                    "--runtime",
                    dir_ + "/runtime",
                    "--runtime-root",
                    dir_,
                    "--sync-fd",
                    "3",
                    "--log-path",
                    log_path_};
    options.argv.insert(options.argv.end(), more.begin(), more.end());
    options.env = MinimalEnv();
    options.fds = {{report->writer.get(), 3}};
    auto process = Spawn(options);
    ASSERT_TRUE(process.ok()) << process.status();
    monitor_ = *std::move(process);
    report->writer.Reset();
    const auto bytes = ReadFd(report->reader.get(), 4096, "the start report");
    ASSERT_TRUE(bytes.ok() && bytes->size() >= sizeof(report_));
    std::memcpy(&report_, bytes->data(), sizeof(report_));
    message_ = bytes->substr(sizeof(report_));
    container_ = report_.container_pid;
  }

  void AwaitEnd() {
    Context ctx(std::chrono::seconds(60));
    const auto status = monitor_.Wait(ctx);
    ended_ = true;
    ASSERT_TRUE(status.ok()) << status.status();
    EXPECT_EQ(status->code, 0);
  }

  // A value of the exit file.
  [[nodiscard]] int64_t Exit(const std::string& key) const {
    const auto text = ReadFile(dir_ + "/run/exit");
    EXPECT_TRUE(text.ok()) << text.status();
    for (const std::string& line : Split(*text, '\n')) {
      if (line.starts_with(key + " ")) {
        return std::stoll(line.substr(key.size()));
      }
    }
    ADD_FAILURE() << "no " << key << " in " << *text;
    return -1;
  }

  [[nodiscard]] UniqueFd Connect() const {
    UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = dir_ + "/run/ctl";
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }

  static bool AwaitInput(int fd) {
    pollfd readable = {.fd = fd, .events = POLLIN, .revents = 0};
    return poll(&readable, 1, 30'000) > 0;
  }

  // So many bytes of the request.
  static conmon::Reply Ask(int fd, const void* request, size_t size) {
    conmon::Reply reply = {};
    EXPECT_EQ(send(fd, request, size, MSG_NOSIGNAL), static_cast<ssize_t>(size));
    EXPECT_TRUE(AwaitInput(fd));
    EXPECT_GT(recv(fd, &reply, sizeof(reply), 0), 0);
    return reply;
  }
  [[nodiscard]] conmon::Reply Ask(conmon::Command command) const {
    const conmon::Request request = {conmon::kProtocolVersion, command, 0, 0, 0};
    return Ask(Connect().get(), &request, sizeof(request));
  }

  // With descriptors, eight at most.
  static conmon::Reply AskWith(int fd, conmon::Request request, std::span<const int> fds) {
    iovec part = {&request, sizeof(request)};
    alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
    EXPECT_GT(sendmsg(fd, &message, MSG_NOSIGNAL), 0);
    conmon::Reply reply = {};
    EXPECT_TRUE(AwaitInput(fd));
    EXPECT_GT(recv(fd, &reply, sizeof(reply), 0), 0);
    return reply;
  }

  // Becomes a client; gives over its ends.
  [[nodiscard]] int Attach(std::array<Pipe, 3>& pipes) const {
    for (Pipe& pipe : pipes) {
      pipe = *MakePipe();
    }
    const std::array<int, 3> fds = {pipes[0].reader.get(), pipes[1].writer.get(),
                                    pipes[2].writer.get()};
    const UniqueFd fd = Connect();
    const conmon::Reply reply =
        AskWith(fd.get(), {conmon::kProtocolVersion, conmon::Command::kAttach, 0, 0, 7}, fds);
    pipes[0].reader.Reset();
    pipes[1].writer.Reset();
    pipes[2].writer.Reset();
    return reply.error;
  }

  // A writer of an output of the container: writes in this test are writes of the container.
  [[nodiscard]] UniqueFd ContainersOutput(int number) const {
    auto fd =
        Open("/proc/" + std::to_string(container_) + "/fd/" + std::to_string(number), O_WRONLY);
    EXPECT_TRUE(fd.ok()) << fd.status();
    return *std::move(fd);
  }
  [[nodiscard]] UniqueFd ContainersStdout() const { return ContainersOutput(1); }

  // What it wrote: about so many bytes, in pieces of the sizes where buffers end.
  static std::string WriteRandomly(int fd, unsigned seed, size_t size) {
    std::mt19937 random(seed);
    std::string written;
    while (written.size() < size) {
      constexpr std::array<size_t, 5> kSizes = {1, 4096, 8192, 16384, 65536};
      std::string chunk(kSizes[random() % kSizes.size()] + random() % 5, '\0');
      const size_t newline_every = size_t{1} << random() % 16;
      for (char& c : chunk) {
        c = random() % newline_every == 0 ? '\n' : static_cast<char>(random());
      }
      written += chunk;
      EXPECT_TRUE(WriteFd(fd, chunk, "an output").ok());
    }
    const std::string end = "no newline at the end";
    EXPECT_TRUE(WriteFd(fd, end, "an output").ok());
    return written + end;
  }

  // Rotates at random moments while there are writers, then ends the container: all files of the
  // log, one after the other.
  std::string RotateWhile(const std::atomic<int>& writing) {
    std::mt19937 moments(5);
    std::vector<std::string> files;
    while (writing > 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(moments() % 20'000));
      files.push_back(log_path_ + "." + std::to_string(files.size()));
      std::filesystem::rename(log_path_, files.back());
      EXPECT_EQ(Ask(conmon::Command::kReopenLog).error, 0);
    }
    kill(container_, SIGTERM);
    AwaitEnd();
    files.push_back(log_path_);
    std::string log;
    for (const std::string& file : files) {
      log += *ReadFile(file, 64U << 20U);
    }
    return log;
  }

  [[nodiscard]] size_t Descriptors() const {
    return ListDir("/proc/" + std::to_string(monitor_.pid()) + "/fd")->size();
  }
  [[nodiscard]] uint64_t ResidentPages() const {
    const std::string statm = *ReadFile("/proc/" + std::to_string(monitor_.pid()) + "/statm");
    return std::stoull(statm.substr(statm.find(' ')));
  }

  static void Eventually(const std::function<bool()>& condition, const char* what) {
    for (int i = 0; i < 3000; ++i) {
      if (condition()) {
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    FAIL() << what;
  }
  void AwaitLog(const std::string& text) {
    Eventually([&] { return ReadFile(log_path_).value_or("").find(text) != std::string::npos; },
               text.c_str());
  }

  // The bytes that the entries of a stream tell.
  static std::string Replay(const std::string& log, const std::string& stream) {
    constexpr size_t kTime = sizeof("1970-01-01T00:00:00.000000000Z") - 1;
    std::string bytes;
    for (size_t begin = 0; begin < log.size();) {
      const size_t end = log.find('\n', begin);
      EXPECT_NE(end, std::string::npos) << "a torn entry";
      const std::string_view line = std::string_view(log).substr(begin, end - begin);
      const size_t head = kTime + stream.size() + 4;
      EXPECT_GE(line.size(), head);
      EXPECT_EQ(line.substr(kTime, stream.size() + 2), " " + stream + " ");
      bytes += line.substr(head);
      bytes += line[head - 2] == 'F' ? "\n" : "";
      begin = end + 1;
    }
    return bytes;
  }

  // The entries of one stream.
  static std::string Select(const std::string& log, const std::string& stream) {
    std::string selected;
    for (size_t begin = 0; begin < log.size();) {
      const size_t end = std::min(log.find('\n', begin), log.size() - 1) + 1;
      const std::string line = log.substr(begin, end - begin);
      const size_t space = line.find(' ');
      selected += line.find(" " + stream + " ") == space ? line : "";
      begin = end;
    }
    return selected;
  }

  std::string dir_;
  std::string log_path_;
  Process monitor_;
  conmon::StartReport report_ = {};
  std::string message_;
  pid_t container_ = -1;
  bool ended_ = false;
};

}  // namespace davit
