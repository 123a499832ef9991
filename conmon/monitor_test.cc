// SPDX-License-Identifier: Apache-2.0
//
// The monitor's program with a shell script in place of the OCI runtime: "containers" are processes
// of this machine. Needs no privileges.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <span>
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
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using conmon::Command;
using conmon::Phase;
using conmon::Reply;
using conmon::Request;

// Starts BUNDLE/command and leaves it behind, as `run --detach` does. The command begins when the
// script has ended, which closes its end of the FIFO: a shell collects a child that ends before.
constexpr char kRuntime[] = R"(#!/bin/sh
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
    fs::create_directories(dir_ + "/run");
    fs::create_directories(dir_ + "/logs");
    EXPECT_TRUE(WriteFileAtomic(dir_ + "/runtime", kRuntime, 0700).ok());
  }
  ~MonitorTest() override {
    if (container_ > 0 && !ended_) {
      kill(container_, SIGKILL);
      AwaitEnd();
    }
    fs::remove_all(dir_);
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
    Context ctx(60s);
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
  static Reply Ask(int fd, const void* request, size_t size) {
    Reply reply = {};
    EXPECT_EQ(send(fd, request, size, MSG_NOSIGNAL), static_cast<ssize_t>(size));
    EXPECT_TRUE(AwaitInput(fd));
    EXPECT_GT(recv(fd, &reply, sizeof(reply), 0), 0);
    return reply;
  }
  [[nodiscard]] Reply Ask(Command command) const {
    const Request request = {conmon::kProtocolVersion, command, 0, 0, 0};
    return Ask(Connect().get(), &request, sizeof(request));
  }

  // With descriptors, eight at most.
  static Reply AskWith(int fd, Request request, std::span<const int> fds) {
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
    Reply reply = {};
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
    const Reply reply =
        AskWith(fd.get(), {conmon::kProtocolVersion, Command::kAttach, 0, 0, 7}, fds);
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
      fs::rename(log_path_, files.back());
      EXPECT_EQ(Ask(Command::kReopenLog).error, 0);
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
      std::this_thread::sleep_for(10ms);
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

TEST_F(MonitorTest, LeavesCodeSignalAndTime) {
  Start("echo hello; exit 7");
  EXPECT_EQ(report_.outcome, conmon::StartOutcome::kRunning);
  AwaitEnd();
  EXPECT_EQ(Exit("version"), 1);
  EXPECT_EQ(Exit("code"), 7);
  EXPECT_EQ(Exit("signal"), 0);
  EXPECT_EQ(Exit("oom_kills"), 0);
  EXPECT_EQ(Exit("dropped_lines"), 0);
  EXPECT_GT(Exit("finished_ns"), 1'700'000'000'000'000'000);
  EXPECT_EQ(Replay(*ReadFile(log_path_), "stdout"), "hello\n");
  EXPECT_FALSE(PathExists(dir_ + "/run/exit.tmp"));
  EXPECT_FALSE(PathExists(dir_ + "/run/ctl"));
}

TEST_F(MonitorTest, ASignalIsACodeOver128) {
  Start("kill -SEGV $$");
  AwaitEnd();
  EXPECT_EQ(Exit("code"), 139);
  EXPECT_EQ(Exit("signal"), 11);
}

TEST_F(MonitorTest, AFailedStartIsToldWithWhatTheRuntimeSaid) {
  ASSERT_TRUE(WriteFileAtomic(dir_ + "/fail", "").ok());
  Start("true");
  EXPECT_EQ(report_.outcome, conmon::StartOutcome::kRuntimeFailed);
  EXPECT_EQ(message_, "no such container\n");
  EXPECT_FALSE(PathExists(dir_ + "/run/exit"));
}

// A memory.events with other things around what counts.
TEST_F(MonitorTest, CountsKillsForMemory) {
  const std::string events = dir_ + "/memory.events";
  ASSERT_TRUE(WriteFileAtomic(events, "low 0\noom 4\noom_kill 3\noom_group_kill 0\n").ok());
  Start("kill -KILL $$", {"--oom-file", events});
  AwaitEnd();
  EXPECT_EQ(Exit("oom_kills"), 3);
}

// As systemd leaves it: the container's own file is gone when it has ended.
TEST_F(MonitorTest, CountsKillsForMemoryWhereTheCgroupIsGone) {
  const std::string parent = dir_ + "/parent.events";
  ASSERT_TRUE(WriteFileAtomic(parent, "low 0\noom 4\noom_kill 3\noom_group_kill 0\n").ok());
  Start("until [ -e " + dir_ + "/go ]; do sleep 0.01; done; kill -KILL $$",
        {"--oom-file", dir_ + "/none", "--oom-parent-file", parent});
  std::ofstream(parent) << "low 0\noom 4\noom_kill 5\n";
  ASSERT_TRUE(WriteFileAtomic(dir_ + "/go", "").ok());
  AwaitEnd();
  EXPECT_EQ(Exit("oom_kills"), 2);
}

// Writes of the sizes where buffers end, NULs and lines of any length, the log rotated at random
// moments, no newline at the end: the entries of all files together are what was written.
TEST_F(MonitorTest, NothingIsLostAtAnySizeOverRandomRotations) {
  Start("exec sleep 1000");
  std::string written;
  std::atomic<int> writing = 1;
  std::thread writer([&] {
    written = WriteRandomly(ContainersOutput(1).get(), 3, size_t{8} << 20U);
    --writing;
  });
  const std::string log = RotateWhile(writing);
  writer.join();
  const std::string replayed = Replay(log, "stdout");
  EXPECT_EQ(replayed.size(), written.size());
  EXPECT_TRUE(replayed == written);
  EXPECT_EQ(Exit("dropped_lines"), 0);
  EXPECT_EQ(Exit("signal"), SIGTERM);
}

TEST_F(MonitorTest, BothOutputsAreWholeWhenBothAreBusy) {
  Start("exec sleep 1000");
  std::array<std::string, 2> written;
  std::atomic<int> writing = 2;
  std::vector<std::thread> writers;
  for (size_t i = 0; i < written.size(); ++i) {
    writers.emplace_back([&, i] {
      const int output = static_cast<int>(i) + 1;
      written[i] = WriteRandomly(ContainersOutput(output).get(), 11U + i, size_t{3} << 20U);
      --writing;
    });
  }
  const std::string log = RotateWhile(writing);
  for (std::thread& writer : writers) {
    writer.join();
  }
  EXPECT_TRUE(Replay(Select(log, "stdout"), "stdout") == written[0]);
  EXPECT_TRUE(Replay(Select(log, "stderr"), "stderr") == written[1]);
  EXPECT_EQ(Exit("dropped_lines"), 0);
}

TEST_F(MonitorTest, SurvivesTheEndOfItsLogDirectory) {
  Start("exec sleep 1000");
  const UniqueFd out = ContainersStdout();
  fs::remove_all(dir_ + "/logs");
  ASSERT_TRUE(WriteFd(out.get(), "nobody will read this\n", "stdout").ok());
  EXPECT_EQ(Ask(Command::kReopenLog).error, ENOENT);
  ASSERT_TRUE(WriteFd(out.get(), "nor this\n", "stdout").ok());
  fs::create_directories(dir_ + "/logs");
  Eventually([&] { return Ask(Command::kReopenLog).error == 0; }, "the log is opened again");
  ASSERT_TRUE(WriteFd(out.get(), "but this\n", "stdout").ok());
  AwaitLog(" stdout F but this\n");
  EXPECT_EQ(Ask(Command::kState).phase, Phase::kRunning);
}

// RLIMIT_FSIZE stands for a full disk: writes fail in the same way, and this needs no mount.
TEST_F(MonitorTest, AFullDiskDropsAndCountsLinesAndTheContainerGoesOn) {
  Start("exec sleep 1000");
  const UniqueFd out = ContainersStdout();
  rlimit limit = {4096, RLIM_INFINITY};
  ASSERT_EQ(prlimit(monitor_.pid(), RLIMIT_FSIZE, &limit, nullptr), 0);
  for (int i = 0; i < 10000; ++i) {
    ASSERT_TRUE(WriteFd(out.get(), "line " + std::to_string(i) + "\n", "stdout").ok());
  }
  Eventually([&] { return Ask(Command::kState).dropped_lines >= 9000; }, "lines are dropped");
  limit.rlim_cur = RLIM_INFINITY;
  ASSERT_EQ(prlimit(monitor_.pid(), RLIMIT_FSIZE, &limit, nullptr), 0);
  ASSERT_TRUE(WriteFd(out.get(), "space again\n", "stdout").ok());
  AwaitLog(" stdout F space again\n");
  kill(container_, SIGKILL);
  AwaitEnd();
  const std::string log = *ReadFile(log_path_);
  const auto whole = static_cast<int64_t>(std::count(log.begin(), log.end(), '\n'));
  EXPECT_GE(Exit("dropped_lines"), 9000);
  // Every line is there or counted; a torn one is both.
  EXPECT_NEAR(static_cast<double>(Exit("dropped_lines") + whole), 10001, 1);
}

// A file system of its own, which only this test and its children see.
class SmallDisk {
 public:
  SmallDisk(std::string path, const std::string& size) : path_(std::move(path)) {
    mounted_ = unshare(CLONE_NEWNS) == 0 &&
               mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               mount("none", path_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) {
      EXPECT_EQ(umount2(path_.c_str(), MNT_DETACH), 0);
    }
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }

 private:
  const std::string path_;
  bool mounted_ = false;
};

TEST_F(MonitorTest, AFullFileSystemDropsAndCountsLinesUntilThereIsRoom) {
  const SmallDisk disk(dir_ + "/logs", "64k");
  if (!disk.mounted()) {
    GTEST_SKIP() << "needs root, to mount a small file system";
  }
  const std::string others = dir_ + "/logs/others";
  ASSERT_TRUE(WriteFileAtomic(others, std::string(size_t{24} << 10U, 'x')).ok());
  Start("exec sleep 1000");
  const UniqueFd out = ContainersStdout();
  constexpr int kLines = 200;
  for (int i = 0; i < kLines; ++i) {
    ASSERT_TRUE(
        WriteFd(out.get(), std::string(900, 'l') + std::to_string(i) + "\n", "stdout").ok());
  }
  Eventually([&] { return Ask(Command::kState).dropped_lines >= 100; }, "lines are dropped");
  fs::remove(others);
  int again = 0;
  Eventually(
      [&] {
        ++again;
        EXPECT_TRUE(WriteFd(out.get(), "room again\n", "stdout").ok());
        return ReadFile(log_path_).value_or("").find(" stdout F room again\n") != std::string::npos;
      },
      "the log goes on");
  EXPECT_EQ(Ask(Command::kState).phase, Phase::kRunning);
  kill(container_, SIGKILL);
  AwaitEnd();
  const std::string log = *ReadFile(log_path_);
  const auto whole = static_cast<int64_t>(std::count(log.begin(), log.end(), '\n'));
  // Every line is there or counted; a torn one is both.
  EXPECT_NEAR(static_cast<double>(Exit("dropped_lines") + whole), kLines + again, 1);
  EXPECT_TRUE(log.ends_with("room again\n"));
}

TEST_F(MonitorTest, TheJournalGetsWhatTheLogGetsAndHoldsNobodyUp) {
  const std::string path = dir_ + "/journal";
  UniqueFd journal(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(journal.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  Start("exec sleep 1000", {"--journal-fields", "CONTAINER_NAME=a\n", "--journal-socket", path});
  const std::array<const char*, 2> priorities = {"6", "3"};
  for (int output = 1; output <= 2; ++output) {
    ASSERT_TRUE(WriteFd(ContainersOutput(output).get(), "text\n", "an output").ok());
    ASSERT_TRUE(AwaitInput(journal.get()));
    std::array<char, 4096> buffer;
    const ssize_t size = recv(journal.get(), buffer.data(), buffer.size(), 0);
    ASSERT_GT(size, 0);
    EXPECT_EQ(std::string(buffer.data(), static_cast<size_t>(size)),
              "CONTAINER_NAME=a\nPRIORITY=" + std::string(priorities[output - 1]) + "\nMESSAGE\n" +
                  std::string("\4\0\0\0\0\0\0\0text\n", 13));
  }
  // It takes nothing any more, and then is gone.
  const UniqueFd out = ContainersStdout();
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_TRUE(WriteFd(out.get(), "line\n", "stdout").ok());
  }
  journal.Reset();
  ASSERT_TRUE(WriteFd(out.get(), "the end\n", "stdout").ok());
  AwaitLog(" stdout F the end\n");
  kill(container_, SIGKILL);
  AwaitEnd();
  EXPECT_GT(Exit("journal_lost"), 0);
  EXPECT_EQ(Exit("dropped_lines"), 0);
  const std::string lines = Replay(Select(*ReadFile(log_path_), "stdout"), "stdout");
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 20'002);
}

TEST_F(MonitorTest, SignalsDoNotEndIt) {
  Start("exec sleep 1000");
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGALRM}) {
    ASSERT_EQ(kill(monitor_.pid(), signal), 0);
  }
  EXPECT_EQ(Ask(Command::kState).phase, Phase::kRunning);
  kill(container_, SIGKILL);
  AwaitEnd();
  EXPECT_EQ(Exit("code"), 137);
}

TEST_F(MonitorTest, CollectsWhatTheContainerLeavesBehind) {
  Start("(sleep 0.1 & sleep 0.1 &) ; sh -c '(sleep 0.2 &)'; exec sleep 1000");
  Eventually(
      [&] {
        const std::string pid = std::to_string(monitor_.pid());
        const auto children = ReadFile("/proc/" + pid + "/task/" + pid + "/children");
        return children.ok() && Trim(*children) == std::to_string(container_);
      },
      "orphans are collected");
}

TEST_F(MonitorTest, SpeaksWithOlderAndNewerDaemons) {
  Start("exec sleep 1000");
  const UniqueFd fd = Connect();
  const Request now = {conmon::kProtocolVersion, Command::kState, 0, 0, 0};
  // The first daemons sent no `streams`; a later one may send more of the same version.
  EXPECT_EQ(Ask(fd.get(), &now, offsetof(Request, streams)).error, 0);
  std::array<char, 256> longer = {};
  std::memcpy(longer.data(), &now, sizeof(now));
  EXPECT_EQ(Ask(fd.get(), longer.data(), longer.size()).error, 0);
  // Another version learns which one this is; an unknown command is no other's.
  const Request later = {conmon::kProtocolVersion + 1, Command::kState, 0, 0, 0};
  const Reply reply = Ask(fd.get(), &later, sizeof(later));
  EXPECT_EQ(reply.error, EPROTO);
  EXPECT_EQ(reply.version, conmon::kProtocolVersion);
  const Request unknown = {conmon::kProtocolVersion, static_cast<Command>(99), 0, 0, 0};
  EXPECT_EQ(Ask(fd.get(), &unknown, sizeof(unknown)).error, ENOSYS);
  EXPECT_EQ(Ask(fd.get(), &now, sizeof(now)).phase, Phase::kRunning);
}

TEST_F(MonitorTest, NonsenseOnItsSocketEndsThatClientOnly) {
  Start("exec sleep 1000");
  std::mt19937 random(9);
  for (int i = 0; i < 500; ++i) {
    const UniqueFd fd = Connect();
    std::string packet(random() % 100, '\0');
    for (char& c : packet) {
      c = static_cast<char>(random());
    }
    send(fd.get(), packet.data(), packet.size(), MSG_NOSIGNAL);
  }
  EXPECT_EQ(Ask(Command::kState).phase, Phase::kRunning);
}

// More than a request can have: with three asked for, alignment leaves room for a fourth.
TEST_F(MonitorTest, DescriptorsThatNobodyAskedForAreClosed) {
  Start("exec sleep 1000");
  EXPECT_EQ(Ask(Command::kState).phase, Phase::kRunning);
  const size_t descriptors = Descriptors();
  const Pipe pipe = *MakePipe();
  const std::array<int, 8> fds = {pipe.writer.get(), pipe.writer.get(), pipe.writer.get(),
                                  pipe.writer.get(), pipe.writer.get(), pipe.writer.get(),
                                  pipe.writer.get(), pipe.writer.get()};
  for (size_t count = 1; count <= fds.size(); ++count) {
    const UniqueFd fd = Connect();
    EXPECT_EQ(AskWith(fd.get(), {conmon::kProtocolVersion, Command::kState, 0, 0, 0},
                      std::span(fds).first(count))
                  .error,
              0);
  }
  Eventually([&] { return Descriptors() <= descriptors; }, "they are closed");
}

TEST_F(MonitorTest, ClientsComeAndGoAndItStaysAsItWas) {
  Start("exec cat", {"--stdin"});
  std::array<Pipe, 3> pipes;
  ASSERT_EQ(Attach(pipes), 0);
  ASSERT_TRUE(WriteFd(pipes[0].writer.get(), "first\n", "stdin").ok());
  ASSERT_TRUE(AwaitInput(pipes[1].reader.get()));
  pipes = {};
  const auto settled = [this] {
    Eventually([&] { return Ask(Command::kState).phase == Phase::kRunning; }, "it answers");
  };
  settled();
  const size_t descriptors = Descriptors();
  const uint64_t pages = ResidentPages();
  for (int i = 0; i < 1000; ++i) {
    // As fast as this a place may still be taken by one that has just gone.
    Eventually([&] { return Attach(pipes) == 0; }, "a client is taken");
    if (i % 2 == 0) {
      ASSERT_TRUE(WriteFd(pipes[0].writer.get(), "x\n", "stdin").ok());
    }
  }
  pipes = {};
  Eventually([&] { return Descriptors() <= descriptors; }, "its descriptors are closed");
  EXPECT_LE(ResidentPages(), pages + 4);
  AwaitLog("first");
}

TEST_F(MonitorTest, ManyClientsSeeTheSameAndOneTooManyIsRefused) {
  Start("exec cat", {"--stdin"});
  std::array<std::array<Pipe, 3>, 9> clients;
  for (size_t i = 0; i < 8; ++i) {
    ASSERT_EQ(Attach(clients[i]), 0);
  }
  EXPECT_EQ(Attach(clients[8]), EBUSY);
  for (size_t i = 0; i < 8; ++i) {
    ASSERT_TRUE(WriteFd(clients[i][0].writer.get(), std::to_string(i) + "\n", "stdin").ok());
  }
  for (size_t i = 0; i < 8; ++i) {
    std::multiset<char> seen;
    while (seen.size() < 16) {
      ASSERT_TRUE(AwaitInput(clients[i][1].reader.get()));
      std::array<char, 64> buffer;
      const ssize_t count = read(clients[i][1].reader.get(), buffer.data(), buffer.size());
      ASSERT_GT(count, 0);
      seen.insert(buffer.data(), buffer.data() + count);
    }
    for (char c = '0'; c < '8'; ++c) {
      EXPECT_EQ(seen.count(c), 1U) << "client " << i;
    }
  }
}

// One that takes nothing is detached; the others, the log and the container go on.
TEST_F(MonitorTest, AClientThatDoesNotReadIsDetached) {
  Start("exec sleep 1000", {"--stdin"});
  std::array<Pipe, 3> stuck;
  ASSERT_EQ(Attach(stuck), 0);
  const UniqueFd out = ContainersStdout();
  std::string text(size_t{1} << 20U, 'x');
  text.back() = '\n';
  ASSERT_TRUE(WriteFd(out.get(), text, "stdout").ok());
  ASSERT_TRUE(WriteFd(out.get(), "the end\n", "stdout").ok());
  AwaitLog(" stdout F the end\n");
  std::array<Pipe, 3> fresh;
  EXPECT_EQ(Attach(fresh), 0);
}

TEST_F(MonitorTest, StdinOnceEndsWithItsFirstClient) {
  Start("cat; echo done", {"--stdin", "--stdin-once"});
  std::array<Pipe, 3> pipes;
  ASSERT_EQ(Attach(pipes), 0);
  ASSERT_TRUE(WriteFd(pipes[0].writer.get(), "input\n", "stdin").ok());
  pipes[0].writer.Reset();
  AwaitEnd();
  EXPECT_EQ(Replay(*ReadFile(log_path_), "stdout"), "input\ndone\n");
}

#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t kArch = 0;
#endif

// Filters that have swapoff and swapon notified, and processes under them.
class SeccompMonitorTest : public MonitorTest {
 protected:
  struct File {
    conmon::SeccompHeader header;
    conmon::SeccompCall swapoff;
  };

  void SetUp() override {
    if (kArch == 0) {
      GTEST_SKIP() << "the number of this architecture is not known here";
    }
    File file = {};
    file.header.version = conmon::kSeccompVersion;
    file.header.calls = 1;
    file.header.other_error = EXDEV;
    file.swapoff = {
        .arch = kArch, .number = SYS_swapoff, .error = EBADSLT, .reserved = 0, .count = 0};
    Write({reinterpret_cast<const char*>(&file), sizeof(file)});
  }
  void Write(const std::string& bytes) const {
    ASSERT_TRUE(WriteFileAtomic(dir_ + "/run/seccomp", bytes).ok());
  }
  [[nodiscard]] File Counted() const {
    const auto bytes = ReadFile(dir_ + "/run/seccomp");
    EXPECT_TRUE(bytes.ok() && bytes->size() == sizeof(File));
    File file = {};
    std::memcpy(&file, bytes->data(), sizeof(file));
    return file;
  }

  // In a child: gives the descriptor of a new filter, as an OCI runtime does. 0 or an errno.
  int SendFilter() const {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_swapoff, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_swapon, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program = {.len = std::size(code), .filter = code};
    const UniqueFd peer(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = dir_ + "/run/sc";
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (connect(peer.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
      return errno;
    }
    const UniqueFd filter(static_cast<int>(
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program)));
    if (!filter.valid()) {
      return errno;
    }
    char text[] = R"({"ociVersion": "1.0.2", "fds": ["seccompFd"]})";
    iovec part = {text, sizeof(text) - 1};
    alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(2 * sizeof(int));
    const int fds[] = {0, filter.get()};  // what is no filter is of no interest
    std::memcpy(CMSG_DATA(header), fds, sizeof(fds));
    return sendmsg(peer.get(), &message, 0) < 0 ? errno : 0;
  }

  // A child that sends its filter and does `calls`; the exit status is their result.
  template <typename Calls>
  pid_t Filtered(Calls calls) const {
    const pid_t pid = fork();
    if (pid == 0) {
      const int error = SendFilter();
      _exit(error != 0 ? 100 + error : calls());
    }
    return pid;
  }
  static int EndOf(pid_t pid) {
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  static bool Swapoff(int error) { return swapoff("/nowhere") != 0 && errno == error; }

  [[nodiscard]] int FiltersHeld() const {
    int held = 0;
    for (const auto& entry :
         fs::directory_iterator("/proc/" + std::to_string(monitor_.pid()) + "/fd")) {
      std::error_code gone;
      held +=
          fs::read_symlink(entry.path(), gone).string().find("seccomp notify") != std::string::npos;
    }
    return held;
  }
};

TEST_F(SeccompMonitorTest, ForbiddenCallsFailAndAreCounted) {
  Start("exec sleep 1000", {"--seccomp"});
  ASSERT_EQ(report_.outcome, conmon::StartOutcome::kRunning) << message_;
  EXPECT_EQ(Counted().header.last_ns, 0U);
  const pid_t first = Filtered([] {
    const bool same = Swapoff(EBADSLT) && Swapoff(EBADSLT) && Swapoff(EBADSLT);
    return same && swapon("/nowhere", 0) != 0 && errno == EXDEV ? 0 : 1;
  });
  EXPECT_EQ(EndOf(first), 0);
  EXPECT_EQ(Counted().swapoff.count, 3U);
  EXPECT_EQ(Counted().header.others, 1U);
  // Several at a time, as executed processes have filters of their own.
  std::vector<pid_t> more;
  for (int i = 0; i < 20; ++i) {
    more.push_back(Filtered([] { return Swapoff(EBADSLT) ? 0 : 1; }));
  }
  for (const pid_t pid : more) {
    EXPECT_EQ(EndOf(pid), 0);
  }
  EXPECT_EQ(Counted().swapoff.count, 23U);
  for (int i = 0; i < 500 && (FiltersHeld() != 0 || Counted().header.last_ns == 0); ++i) {
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_EQ(FiltersHeld(), 0) << "of processes that have ended";
  EXPECT_GT(Counted().header.last_ns, 0U);
  kill(container_, SIGKILL);
  AwaitEnd();
  EXPECT_FALSE(fs::exists(dir_ + "/run/sc"));
  EXPECT_EQ(Counted().swapoff.count, 23U);
}

TEST_F(SeccompMonitorTest, ALoopOfForbiddenCallsHasToWait) {
  Start("exec sleep 1000", {"--seccomp"});
  const auto begin = std::chrono::steady_clock::now();
  const pid_t looper = Filtered([] {
    for (int i = 0; i < 2500; ++i) {
      if (!Swapoff(EBADSLT)) {
        return 1;
      }
    }
    return 0;
  });
  EXPECT_EQ(EndOf(looper), 0);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 1900ms);
  EXPECT_EQ(Counted().swapoff.count, 2500U);
}

// Nobody holds the filter any more: the calls go on to fail.
TEST_F(SeccompMonitorTest, WithoutAMonitorCallsStillFail) {
  Start("exec sleep 1000", {"--seccomp"});
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.ok());
  const pid_t caller = Filtered([&pipe] {
    pipe->writer.Reset();  // the test's end ends it, too
    char byte = 0;
    return read(pipe->reader.get(), &byte, 1) == 1 && Swapoff(ENOSYS) ? 0 : 1;
  });
  for (int i = 0; i < 500 && FiltersHeld() == 0; ++i) {
    std::this_thread::sleep_for(10ms);
  }
  ASSERT_EQ(FiltersHeld(), 1);
  kill(container_, SIGKILL);
  AwaitEnd();
  ASSERT_TRUE(WriteFd(pipe->writer.get(), "x", "a pipe").ok());
  EXPECT_EQ(EndOf(caller), 0);
}

TEST_F(SeccompMonitorTest, AFileThatIsNoneIsRefused) {
  for (const std::string& bytes : {std::string(), std::string(8, 'x'), std::string(200, 'x')}) {
    Write(bytes);
    Start("exec sleep 1000", {"--seccomp"});
    EXPECT_EQ(report_.outcome, conmon::StartOutcome::kMonitorFailed);
    EXPECT_NE(message_.find("seccomp"), std::string::npos) << message_;
    Context ctx(60s);
    EXPECT_TRUE(monitor_.Wait(ctx).ok());
  }
}

TEST_F(MonitorTest, WithoutALogNothingIsKeptOrCounted) {
  log_path_ = "";
  Start("seq 1 100000");
  AwaitEnd();
  EXPECT_EQ(Exit("code"), 0);
  EXPECT_EQ(Exit("dropped_lines"), 0);
  EXPECT_TRUE(ListDir(dir_ + "/logs")->empty());
}

}  // namespace
}  // namespace davit
