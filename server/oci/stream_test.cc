// SPDX-License-Identifier: Apache-2.0
//
// Talking with processes in real containers: exec through a monitor of its own, and attach.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "base/cpus.h"
#include "base/file.h"
#include "base/json.h"
#include "base/proc.h"
#include "base/status.h"
#include "server/oci/exec_monitor.h"
#include "server/oci/test_container.h"

namespace davit::server::oci {
namespace {

using std::chrono::seconds;

// Everything until the end (a terminal ends with EIO), or until `wanted` has come; not for ever.
std::string ReadUntil(int fd, const std::string& wanted = "") {
  const auto give_up = std::chrono::steady_clock::now() + seconds(60);
  std::string text;
  std::array<char, 4096> buffer;
  while (wanted.empty() || text.find(wanted) == std::string::npos) {
    if (std::chrono::steady_clock::now() > give_up) {
      return text + "[it does not end]";
    }
    pollfd waiting = {.fd = fd, .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, 20'000) <= 0) {
      return text + "[nothing more came]";
    }
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count <= 0) {
      return text;
    }
    text.append(buffer.data(), static_cast<size_t>(count));
  }
  return text;
}

void Say(int fd, const std::string& text) {
  EXPECT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

class StreamTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    static std::map<std::string, std::string> why;
    const auto it = why.try_emplace(GetParam(), WhyNoContainers(GetParam())).first;
    if (!it->second.empty()) {
      GTEST_SKIP() << it->second;
    }
    container_ = std::make_unique<TestContainer>(GetParam());
  }

  void TearDown() override {
    if (container_ != nullptr && handle_.container_pid > 0) {
      kill(handle_.container_pid, SIGKILL);
      EXPECT_TRUE(container_->AwaitExit(ctx_, handle_).ok());
    }
  }

  void Start(const TestProcess& process) {
    auto handle = container_->Start(ctx_, process);
    ASSERT_TRUE(handle.ok()) << handle.status();
    handle_ = *std::move(handle);
  }
  void StartSleeper() { Start({.args = {"sleep", "1000"}, .pid_namespace = {}}); }
  void StartShell(const std::string& script, bool tty = false) {
    Start({.args = {"sh", "-c", script}, .tty = tty, .pid_namespace = {}});
  }

  absl::StatusOr<std::unique_ptr<RunningExec>> Exec(const std::vector<std::string>& args,
                                                    const ExecStreams& streams) {
    const nlohmann::json process = {{"args", args},
                                    {"cwd", "/"},
                                    {"env", {"PATH=/bin"}},
                                    {"terminal", streams.tty},
                                    {"user", {{"uid", user_}, {"gid", user_}}}};
    auto exec = StartExec(ctx_, container_->runtime(), container_->id(), Scratch(),
                          {.monitor_path = DAVIT_CONMON_PATH,
                           .process_json = process.dump(),
                           .streams = streams,
                           .cpu = cpu_});
    EXPECT_TRUE(ListDir(Scratch())->empty()) << "files of an exec stay";
    return exec;
  }
  absl::StatusOr<std::unique_ptr<RunningExec>> Shell(const std::string& script,
                                                     const ExecStreams& streams) {
    return Exec({"sh", "-c", script}, streams);
  }

  int ExitOf(RunningExec& exec) {
    pollfd waiting = {.fd = exec.exit_fd(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&waiting, 1, 20'000), 1) << "the exec does not end";
    const auto code = exec.ReadExit();
    EXPECT_TRUE(code.ok()) << code.status();
    return code.ok() ? code->value_or(-1) : -1;
  }

  // Of an exec.
  int user_ = 0;
  std::optional<int> cpu_;

  [[nodiscard]] std::string Scratch() const { return container_->options().run_dir + "/exec"; }
  Attachment Attach(const AttachStreams& streams) {
    auto attachment = AttachContainer(ctx_, container_->options().run_dir, streams);
    EXPECT_TRUE(attachment.ok()) << attachment.status();
    return attachment.ok() ? *std::move(attachment) : Attachment();
  }

  Context ctx_{seconds(90)};
  std::unique_ptr<TestContainer> container_;
  MonitorHandle handle_;
};
INSTANTIATE_TEST_SUITE_P(Runtimes, StreamTest, testing::Values("crun", "runc"),
                         [](const auto& test) { return std::string(test.param); });

constexpr ExecStreams kAll = {.in = true, .out = true, .err = true, .tty = false};

TEST_P(StreamTest, ExecWithPipes) {
  StartSleeper();
  auto exec = Shell("cat; echo err >&2; exit 7", kAll);
  ASSERT_TRUE(exec.ok()) << exec.status();
  Say((*exec)->in.get(), "hello");
  EXPECT_EQ(ReadUntil((*exec)->out.get(), "hello"), "hello");
  EXPECT_FALSE((*exec)->ReadExit()->has_value());
  (*exec)->in.Reset();
  EXPECT_EQ(ReadUntil((*exec)->out.get()), "");
  EXPECT_EQ(ReadUntil((*exec)->err.get()), "err\n");
  EXPECT_EQ(ExitOf(**exec), 7);
  EXPECT_TRUE(ChildrenOf(getpid()).size() <= 1U);  // the container's monitor
}

TEST_P(StreamTest, ExecWithATerminal) {
  StartSleeper();
  auto exec = Shell("tty; echo ready; read x; stty size; echo got $x; exit 3",
                    {.in = true, .out = true, .err = false, .tty = true});
  ASSERT_TRUE(exec.ok()) << exec.status();
  EXPECT_NE(ReadUntil((*exec)->out.get(), "ready").find("/dev/pts/"), std::string::npos);
  const winsize size = {.ws_row = 40, .ws_col = 120, .ws_xpixel = 0, .ws_ypixel = 0};
  EXPECT_EQ(ioctl((*exec)->terminal.get(), TIOCSWINSZ, &size), 0);
  Say((*exec)->in.get(), "word\n");
  EXPECT_NE(ReadUntil((*exec)->out.get(), "got word").find("40 120"), std::string::npos);
  EXPECT_EQ(ExitOf(**exec), 3);
}

TEST_P(StreamTest, ATerminalThatHangsUpEndsTheCommand) {
  StartSleeper();
  auto exec = Shell("echo ready; sleep 1000", {.in = true, .out = true, .err = false, .tty = true});
  ASSERT_TRUE(exec.ok()) << exec.status();
  ReadUntil((*exec)->out.get(), "ready");
  (*exec)->in.Reset();
  (*exec)->out.Reset();
  (*exec)->terminal.Reset();
  EXPECT_EQ(ExitOf(**exec), 128 + SIGHUP);
}

TEST_P(StreamTest, ExecKilledByASignal) {
  StartSleeper();
  auto exec = Shell("kill -9 $$", kAll);
  ASSERT_TRUE(exec.ok()) << exec.status();
  EXPECT_EQ(ExitOf(**exec), 137);
}

TEST_P(StreamTest, ExecWithoutStreamsHasNone) {
  StartSleeper();
  auto exec =
      Shell("cat; echo x; echo y >&2", {.in = false, .out = true, .err = false, .tty = false});
  ASSERT_TRUE(exec.ok()) << exec.status();
  EXPECT_EQ(ReadUntil((*exec)->out.get()), "x\n");
  EXPECT_EQ(ExitOf(**exec), 0);
}

// crun gives the standard streams to the user of the process.
TEST_P(StreamTest, ExecOfAUserIsGivenNoDeviceOfTheNode) {
  StartSleeper();
  user_ = 41234;  // tests run side by side: nobody else's
  for (const ExecStreams streams : {ExecStreams{}, ExecStreams{.tty = true}, kAll}) {
    auto exec = Shell("true", streams);
    ASSERT_TRUE(exec.ok()) << exec.status();
    EXPECT_EQ(ExitOf(**exec), 0);
    struct stat null = {};
    ASSERT_EQ(stat("/dev/null", &null), 0);
    if (null.st_uid == static_cast<uid_t>(user_)) {
      ASSERT_EQ(chown("/dev/null", 0, 0), 0);
      FAIL() << "the node's /dev/null belongs to the user of the exec";
    }
  }
}

TEST_P(StreamTest, ExecOfWhatIsNotThere) {
  StartSleeper();
  const auto exec = Exec({"no-such-command"}, kAll);
  ASSERT_FALSE(exec.ok());
  EXPECT_NE(std::string(exec.status().message()).find("no-such-command"), std::string::npos)
      << exec.status();
  EXPECT_LE(ChildrenOf(getpid()).size(), 1U);
}

TEST_P(StreamTest, ExecOnOneCpu) {
  const CpuSet all = GetAffinity(0).value_or(CpuSet());
  if (all.size() < 2 || !PathExists("/usr/bin/taskset")) {
    GTEST_SKIP() << "needs two CPUs and taskset";
  }
  StartSleeper();
  cpu_ = *all.rbegin();
  const auto cpus = [&] {
    auto exec = Shell("sleep 0.3; grep Cpus_allowed_list /proc/self/status", kAll);
    EXPECT_TRUE(exec.ok()) << exec.status();
    if (!exec.ok()) {
      return std::string();
    }
    EXPECT_EQ(GetAffinity((*exec)->monitor_pid()).value_or(CpuSet()), all) << "its monitor is not";
    const std::string text = ReadUntil((*exec)->out.get());
    EXPECT_EQ(ExitOf(**exec), 0);
    return text;
  };
  const std::string pinned = "Cpus_allowed_list:\t" + std::to_string(*cpu_) + "\n";
  EXPECT_EQ(cpus(), pinned);
  container_->LetRuntimeRunAnywhere(all);
  EXPECT_EQ(cpus(), pinned);
  cpu_ = kMaxCpus - 1;
  auto exec = Shell("true", kAll);
  ASSERT_TRUE(exec.ok()) << "a CPU that is not there stops nothing: " << exec.status();
  EXPECT_EQ(ExitOf(**exec), 0);
}

TEST_P(StreamTest, TheMonitorOfAnExecIsSmall) {
  StartSleeper();
  auto exec = Shell("cat", kAll);
  ASSERT_TRUE(exec.ok()) << exec.status();
  for (const pid_t child : ChildrenOf(getpid())) {
    const std::string rollup = *ReadFile("/proc/" + std::to_string(child) + "/smaps_rollup");
    const size_t at = rollup.find("Private_Dirty:");
    EXPECT_LT(std::stoi(rollup.substr(at + 14)), 100) << rollup;
  }
  (*exec)->in.Reset();
  EXPECT_EQ(ExitOf(**exec), 0);
}

TEST_P(StreamTest, AttachedClientsAllGetTheOutput) {
  container_->options().stdin_open = true;
  StartShell("while read line; do echo out $line; echo err $line >&2; done");
  const Attachment first = Attach({.in = true, .out = true, .err = true});
  const Attachment second = Attach({.in = false, .out = true, .err = false});
  Say(first.in.get(), "one\n");
  EXPECT_EQ(ReadUntil(first.out.get(), "one\n"), "out one\n");
  EXPECT_EQ(ReadUntil(first.err.get(), "one\n"), "err one\n");
  EXPECT_EQ(ReadUntil(second.out.get(), "one\n"), "out one\n");
  EXPECT_TRUE(Eventually([&] { return container_->Output() == "out one\n"; }));
}

// Not the container, nor its input, ends with a client.
TEST_P(StreamTest, DetachingEndsNothing) {
  container_->options().stdin_open = true;
  StartShell("while read line; do echo $line; done");
  for (int i = 0; i < 50; ++i) {
    const Attachment client = Attach({.in = true, .out = true, .err = true});
    const std::string line = "line " + std::to_string(i) + "\n";
    Say(client.in.get(), line);
    EXPECT_EQ(ReadUntil(client.out.get(), "\n"), line);
  }
  const auto fds = ListDir("/proc/" + std::to_string(handle_.monitor_pid) + "/fd");
  EXPECT_TRUE(Eventually([&] {
    return ListDir("/proc/" + std::to_string(handle_.monitor_pid) + "/fd")->size() < 20;
  }));
}

TEST_P(StreamTest, InputOnceEndsWithItsFirstClient) {
  container_->options().stdin_open = true;
  container_->options().stdin_once = true;
  StartShell("cat; echo end");
  Attachment client = Attach({.in = true, .out = true, .err = false});
  Say(client.in.get(), "text\n");
  client.in.Reset();
  EXPECT_EQ(ReadUntil(client.out.get()), "text\nend\n");
  EXPECT_EQ(container_->AwaitExit(ctx_, handle_)->exit_code, 0);
  handle_ = {};
}

// The size is told again and again: the answer to one question may come before the resize. (Of a
// terminal without one, busybox says that it has none.)
TEST_P(StreamTest, ATerminalIsAttachedAndResized) {
  container_->options().stdin_open = true;
  StartShell("read line; while :; do echo $line: $(stty size 2>&1); usleep 20000; done",
             /*tty=*/true);
  const Attachment client = Attach({.in = true, .out = true, .err = false});
  Say(client.in.get(), "size\n");
  const std::string before = ReadUntil(client.out.get(), "size: ");
  EXPECT_NE(before.find("size: "), std::string::npos) << before;
  EXPECT_EQ(before.find("40 120"), std::string::npos) << before;
  ASSERT_TRUE(ResizeTerminal(container_->options().run_dir, 40, 120).ok());
  const std::string text = ReadUntil(client.out.get(), "size: 40 120\r\n");
  EXPECT_NE(text.find("size: 40 120\r\n"), std::string::npos) << text;
}

// What is written while one client takes nothing reaches the log, and the other client, whole.
TEST_P(StreamTest, AStuckClientIsDetached) {
  container_->options().stdin_open = true;
  StartShell("read go; seq 1 200000; echo END");
  Attachment stuck = Attach({.in = false, .out = true, .err = false});
  Attachment reader = Attach({.in = true, .out = true, .err = false});
  Say(reader.in.get(), "go\n");  // both are attached now
  const std::string text = ReadUntil(reader.out.get());
  EXPECT_TRUE(text.ends_with("200000\nEND\n"))
      << text.substr(text.size() - std::min<size_t>(text.size(), 100));
  EXPECT_EQ(container_->AwaitExit(ctx_, handle_)->exit_code, 0);
  handle_ = {};
  EXPECT_EQ(container_->Output(), text);
}

TEST_P(StreamTest, ClientsAreLimited) {
  StartSleeper();
  std::vector<Attachment> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(Attach({.in = false, .out = true, .err = true}));
  }
  const auto one_more =
      AttachContainer(ctx_, container_->options().run_dir, {.in = false, .out = true, .err = true});
  EXPECT_EQ(one_more.status().code(), absl::StatusCode::kResourceExhausted);
  clients.pop_back();
  EXPECT_TRUE(Eventually([&] {
    return AttachContainer(ctx_, container_->options().run_dir,
                           {.in = false, .out = true, .err = true})
        .ok();
  }));
}

TEST_P(StreamTest, InputIsHeldBackWhileNobodyReads) {
  container_->options().stdin_open = true;
  StartShell("until [ -e /tmp/go ]; do usleep 10000; done; cat > /tmp/copy");
  Attachment client = Attach({.in = true, .out = false, .err = false});
  const std::string data(1'000'000, 'x');
  std::atomic<size_t> written = 0;
  std::thread writer([&] {
    while (written < data.size()) {
      const ssize_t count = write(client.in.get(), data.data() + written,
                                  std::min<size_t>(data.size() - written, 4096));
      ASSERT_GT(count, 0);
      written += static_cast<size_t>(count);
    }
  });
  // All pipes on the way are full when it stands still.
  size_t before = 0;
  EXPECT_TRUE(Eventually([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return std::exchange(before, written) == written && before > 0;
  }));
  EXPECT_LT(written, data.size());
  EXPECT_TRUE(WriteFileAtomic(container_->rootfs() + "/tmp/go", "").ok());
  writer.join();
  EXPECT_TRUE(Eventually(
      [&] { return ReadFile(container_->rootfs() + "/tmp/copy").value_or("") == data; }));
}

}  // namespace
}  // namespace davit::server::oci
