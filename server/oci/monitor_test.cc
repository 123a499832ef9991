// SPDX-License-Identifier: Apache-2.0
#include "server/oci/monitor.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/namespace.h"
#include "base/proc.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "server/oci/test_container.h"

namespace davit::server::oci {
namespace {

using std::chrono::seconds;

class MonitorTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    static std::map<std::string, std::string> why;
    const auto it = why.try_emplace(GetParam(), WhyNoContainers(GetParam())).first;
    if (!it->second.empty()) {
      GTEST_SKIP() << it->second;
    }
    container_ = std::make_unique<TestContainer>(GetParam());
  }

  ExitInfo RunShell(const std::string& script) {
    auto handle = container_->StartShell(ctx_, script);
    EXPECT_TRUE(handle.ok()) << handle.status();
    if (!handle.ok()) {
      return {};
    }
    auto exit = container_->AwaitExit(ctx_, *handle);
    EXPECT_TRUE(exit.ok()) << exit.status();
    return exit.ok() ? *exit : ExitInfo();
  }

  [[nodiscard]] const std::string& run_dir() { return container_->options().run_dir; }

  Context ctx_{seconds(60)};
  std::unique_ptr<TestContainer> container_;
};
INSTANTIATE_TEST_SUITE_P(Runtimes, MonitorTest, testing::Values("crun", "runc"),
                         [](const auto& test) { return std::string(test.param); });

TEST_P(MonitorTest, KeepsExitCodeTimeAndOutput) {
  const int64_t before = NowNanos();
  const ExitInfo exit = RunShell("echo out; echo err >&2; exit 7");
  EXPECT_EQ(exit.exit_code, 7);
  EXPECT_EQ(exit.signal, 0);
  EXPECT_FALSE(exit.oom_killed);
  EXPECT_GE(exit.finished_at_ns, before);
  EXPECT_LE(exit.finished_at_ns, NowNanos());
  EXPECT_EQ(container_->Output("stdout"), "out\n");
  EXPECT_EQ(container_->Output("stderr"), "err\n");
  struct stat log = {};
  ASSERT_EQ(stat(container_->options().log_path.c_str(), &log), 0);
  EXPECT_EQ(log.st_mode & 07777U, 0640U);
  EXPECT_FALSE(PathExists(run_dir() + "/runtime.log"));
}

TEST_P(MonitorTest, KeepsTheSignal) {
  const auto handle = container_->Start(ctx_, {.args = {"sleep", "1000"}, .pid_namespace = {}});
  ASSERT_TRUE(handle.ok()) << handle.status();
  EXPECT_EQ(*ProcessStartTime(handle->container_pid), handle->container_start_time);
  EXPECT_EQ(*ProcessStartTime(handle->monitor_pid), handle->monitor_start_time);
  ASSERT_EQ(kill(handle->container_pid, SIGKILL), 0);
  const auto exit = container_->AwaitExit(ctx_, *handle);
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->exit_code, 137);
  EXPECT_EQ(exit->signal, SIGKILL);
  EXPECT_FALSE(exit->oom_killed);
}

TEST_P(MonitorTest, MissesNoQuickExit) {
  for (int i = 0; i < 50; ++i) {
    TestContainer container(GetParam());
    const auto handle = container.Start(ctx_, {.args = {"true"}, .pid_namespace = {}});
    ASSERT_TRUE(handle.ok()) << handle.status();
    EXPECT_GT(handle->container_pid, 0);
    EXPECT_GT(handle->container_start_time, 0U);
    const auto exit = container.AwaitExit(ctx_, *handle);
    ASSERT_TRUE(exit.ok()) << exit.status();
    ASSERT_EQ(exit->exit_code, 0);
  }
}

TEST_P(MonitorTest, KeepsOddOutputExactly) {
  container_->options().max_log_line_bytes = 100;
  RunShell("printf 'a\\0b\\n\\n'; head -c 250 /dev/zero | tr '\\0' x; echo; printf end");
  const std::string expected = std::string("a\0b\n\n", 5) + std::string(250, 'x') + "\n" + "end";
  EXPECT_EQ(container_->Output(), expected);
  for (const std::string& line : Split(container_->Log(), '\n')) {
    EXPECT_LE(line.size(), 140U);
  }
}

TEST_P(MonitorTest, LogIsTheOutputForRandomWrites) {
  std::mt19937 random(11);
  std::string data(3 << 20, '\0');
  for (char& c : data) {
    c = random() % 50 == 0 ? '\n' : static_cast<char>(random());
  }
  ASSERT_TRUE(WriteFileAtomic(container_->rootfs() + "/data", data, 0644).ok());
  const ExitInfo exit = RunShell("dd if=/data bs=777 2>/dev/null; cat /data >&2");
  EXPECT_EQ(exit.exit_code, 0);
  EXPECT_TRUE(container_->Output("stdout") == data);
  EXPECT_TRUE(container_->Output("stderr") == data);
}

TEST_P(MonitorTest, LosesNothingOfFiftyMegabytes) {
  const int64_t begin = NowNanos();
  const ExitInfo exit = RunShell("seq 1 6500000");
  RecordProperty("milliseconds", static_cast<int>((NowNanos() - begin) / 1000000));
  EXPECT_EQ(exit.exit_code, 0);
  std::string expected;
  for (int i = 1; i <= 6500000; ++i) {
    expected += std::to_string(i);
    expected += '\n';
  }
  ASSERT_GT(expected.size(), 50U << 20U >> 1U);
  EXPECT_TRUE(container_->Output() == expected);
}

TEST_P(MonitorTest, ReopenUnderLoadLosesNothing) {
  const auto handle = container_->StartShell(ctx_, "seq 1 1000000; exit 3");
  ASSERT_TRUE(handle.ok()) << handle.status();
  const std::string log = container_->options().log_path;
  int rotations = 0;
  absl::Status status;
  while ((status = ReopenLog(ctx_, run_dir())).ok() && rotations < 200) {
    if (PathExists(log)) {
      std::filesystem::rename(log, fmt::format("{}.{:04}", log, rotations++));
    }
  }
  const auto exit = container_->AwaitExit(ctx_, *handle);
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->exit_code, 3);
  EXPECT_GT(rotations, 2);
  std::string all;
  for (int i = 0; i < rotations; ++i) {
    all += *ReadFile(fmt::format("{}.{:04}", log, i), 1U << 30U);
  }
  all += PathExists(log) ? *ReadFile(log, 1U << 30U) : "";
  std::string expected;
  for (int i = 1; i <= 1000000; ++i) {
    expected += std::to_string(i) + "\n";
  }
  EXPECT_TRUE(TestContainer::Replay(all, "stdout") == expected);
  EXPECT_TRUE(absl::IsNotFound(ReopenLog(ctx_, run_dir())));
}

TEST_P(MonitorTest, ReopenThatFailsSaysSoAndKeepsTheOldFile) {
  const auto handle =
      container_->StartShell(ctx_, "while [ ! -e /go ]; do usleep 1000; done; echo late");
  ASSERT_TRUE(handle.ok()) << handle.status();
  const std::string log = container_->options().log_path;
  std::filesystem::rename(log, log + ".1");
  std::filesystem::create_symlink("/dev/null", log);
  EXPECT_FALSE(ReopenLog(ctx_, run_dir()).ok()) << "a symlink is never followed";
  std::ofstream(container_->rootfs() + "/go").flush();
  ASSERT_TRUE(container_->AwaitExit(ctx_, *handle).ok());
  EXPECT_EQ(TestContainer::Replay(*ReadFile(log + ".1"), "stdout"), "late\n");
}

TEST_P(MonitorTest, AFullDiskHoldsUpNothing) {
  const std::string disk = container_->dir() + "/disk";
  ASSERT_TRUE(MakeDirs(disk).ok());
  ASSERT_EQ(mount("none", disk.c_str(), "tmpfs", 0, "size=64k"), 0);
  container_->options().log_path = disk + "/log";
  const ExitInfo exit = RunShell("seq 1 100000; exit 5");
  EXPECT_EQ(exit.exit_code, 5);
  const std::string record = *ReadFile(run_dir() + "/exit");
  EXPECT_EQ(record.find("dropped_lines 0\n"), std::string::npos) << record;
  EXPECT_EQ(umount2(disk.c_str(), MNT_DETACH), 0);
}

TEST_P(MonitorTest, AMissingCommandIsNamedAndNothingStays) {
  const auto handle = container_->Start(ctx_, {.args = {"no-such-command"}, .pid_namespace = {}});
  ASSERT_FALSE(handle.ok());
  EXPECT_EQ(handle.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(Message(handle.status())
                .find("exec: \"no-such-command\": executable file not found in $PATH"),
            std::string::npos)
      << handle.status();
  EXPECT_TRUE(absl::IsNotFound(FindMonitor(run_dir()).status()));
  EXPECT_EQ(*ReadExit(run_dir()), std::nullopt);
  EXPECT_EQ(container_->Log(), "") << "what the runtime says is not the container's output";
}

TEST_P(MonitorTest, ABrokenSpecIsTheRuntimesError) {
  ASSERT_TRUE(WriteFileAtomic(container_->options().bundle + "/config.json", "{").ok());
  const auto handle = StartMonitor(ctx_, container_->options());
  ASSERT_FALSE(handle.ok());
  EXPECT_EQ(Message(handle.status()).find("said nothing"), std::string::npos) << handle.status();
}

TEST_P(MonitorTest, MissingProgramsAndLogDirectoriesAreNamed) {
  container_->WriteSpec({.args = {"true"}, .pid_namespace = {}});
  MonitorOptions options = container_->options();
  options.runtime_path = "/nonexistent/runtime";
  auto status = StartMonitor(ctx_, options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(Message(status).find("/nonexistent/runtime"), std::string::npos) << status;

  options = container_->options();
  options.monitor_path = "/nonexistent/monitor";
  status = StartMonitor(ctx_, options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);

  options = container_->options();
  options.log_path = "/nonexistent/log";
  status = StartMonitor(ctx_, options).status();
  EXPECT_NE(Message(status).find("log file"), std::string::npos) << status;
}

TEST_P(MonitorTest, AnEndedContextLeavesNothingRunning) {
  // A runtime that hangs: a script that starts a sleeper of its own and waits.
  const std::string fake = container_->dir() + "/hang";
  ASSERT_TRUE(WriteFileAtomic(fake,
                              "#!/bin/sh\ncase \"$*\" in *delete*) exit 0;; esac\n"
                              "setsid sleep 987 & echo $! > " +
                                  container_->dir() + "/sleeper; wait\n",
                              0755)
                  .ok());
  MonitorOptions options = container_->options();
  options.runtime_path = fake;
  Context ctx;
  std::thread canceller([&] {
    Eventually([&] { return PathExists(container_->dir() + "/sleeper"); });
    ctx.Cancel();
  });
  const auto handle = StartMonitor(ctx, options);
  canceller.join();
  EXPECT_TRUE(absl::IsCancelled(handle.status())) << handle.status();
  const auto sleeper = ParseInt(Trim(*ReadFile(container_->dir() + "/sleeper")));
  ASSERT_TRUE(sleeper.has_value());
  EXPECT_TRUE(Eventually([&] { return kill(static_cast<pid_t>(*sleeper), 0) != 0; }));
  EXPECT_TRUE(absl::IsNotFound(FindMonitor(run_dir()).status()));
}

TEST_P(MonitorTest, IsFoundAgainByADaemonThatForgot) {
  EXPECT_TRUE(absl::IsNotFound(FindMonitor(run_dir()).status()));
  auto handle = container_->Start(ctx_, {.args = {"sleep", "1000"}, .pid_namespace = {}});
  ASSERT_TRUE(handle.ok()) << handle.status();
  for (int i = 0; i < 100; ++i) {
    const auto found = FindMonitor(run_dir());
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_EQ(found->monitor_pid, handle->monitor_pid);
    ASSERT_EQ(found->monitor_start_time, handle->monitor_start_time);
    ASSERT_EQ(found->container_pid, handle->container_pid);
    ASSERT_EQ(found->container_start_time, handle->container_start_time);
  }
  // Only the container's end ends it.
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) {
    ASSERT_EQ(kill(handle->monitor_pid, signal), 0);
  }
  auto found = FindMonitor(run_dir());
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*ReadExit(run_dir()), std::nullopt);
  ASSERT_EQ(kill(handle->container_pid, SIGTERM), 0);  // ignored: the first of its namespace
  ASSERT_EQ(kill(handle->container_pid, SIGKILL), 0);
  const auto exit = container_->AwaitExit(ctx_, *found);
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->signal, SIGKILL);
  EXPECT_TRUE(absl::IsNotFound(FindMonitor(run_dir()).status()));
}

TEST_P(MonitorTest, ManyClientsAtOnceAreAllServed) {
  const auto handle = container_->Start(ctx_, {.args = {"sleep", "1000"}, .pid_namespace = {}});
  ASSERT_TRUE(handle.ok()) << handle.status();
  std::vector<std::thread> threads;
  std::atomic<int> served = 0;
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 20; ++j) {
        served += FindMonitor(run_dir()).ok() ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(served, 400);
}

TEST_P(MonitorTest, TheContainerGetsThreeDescriptors) {
  RunShell("ls /proc/self/fd; for f in 0 1 2; do readlink /proc/self/fd/$f; done >&2");
  EXPECT_EQ(container_->Output("stdout"), "0\n1\n2\n3\n") << "3 is the directory being read";
  const std::string links = container_->Output("stderr");
  EXPECT_EQ(links.find("/dev/null"), 0U) << links;
}

TEST_P(MonitorTest, StdinStaysOpenWhereAskedFor) {
  container_->options().stdin_open = true;
  const auto handle = container_->StartShell(ctx_, "echo begin; cat; echo eof");
  ASSERT_TRUE(handle.ok()) << handle.status();
  EXPECT_TRUE(Eventually([&] { return container_->Output() == "begin\n"; }));
  EXPECT_TRUE(FindMonitor(run_dir()).ok()) << "cat still waits";
  ASSERT_EQ(kill(handle->container_pid, SIGKILL), 0);
  ASSERT_TRUE(container_->AwaitExit(ctx_, *handle).ok());
}

TEST_P(MonitorTest, ATerminalIsLogged) {
  const auto handle =
      container_->Start(ctx_, {.args = {"sh", "-c", "tty; echo err >&2; printf 'no end'; exit 4"},
                               .tty = true,
                               .pid_namespace = {}});
  ASSERT_TRUE(handle.ok()) << handle.status();
  const auto exit = container_->AwaitExit(ctx_, *handle);
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->exit_code, 4);
  EXPECT_EQ(container_->Output("stdout"), "/dev/pts/0\r\nerr\r\nno end");
  EXPECT_FALSE(PathExists(run_dir() + "/console"));
}

TEST_P(MonitorTest, ATerminalNobodyHoldsIsNoEnd) {
  const auto handle = container_->Start(
      ctx_, {.args = {"sh", "-c",
                      "echo one; T=$(tty); exec <&- >&- 2>&-; usleep 300000; echo two >$T; "
                      "usleep 700000; echo three >$T"},
             .tty = true,
             .pid_namespace = {}});
  ASSERT_TRUE(handle.ok()) << handle.status();
  ASSERT_TRUE(container_->AwaitExit(ctx_, *handle).ok());
  EXPECT_EQ(container_->Output("stdout"), "one\r\ntwo\r\nthree\r\n");
}

TEST_P(MonitorTest, AnOutOfMemoryKillIsSeen) {
  const auto handle = container_->Start(
      ctx_, {.args = {"tail", "/dev/zero"}, .memory_limit = 16 << 20, .pid_namespace = {}});
  ASSERT_TRUE(handle.ok()) << handle.status();
  const auto exit = container_->AwaitExit(ctx_, *handle);
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_TRUE(exit->oom_killed);
  EXPECT_EQ(exit->exit_code, 137);
}

TEST_P(MonitorTest, TheIdleMonitorIsSmallAndSleeps) {
  const auto handle = container_->StartShell(ctx_, "seq 1 10000; exec sleep 1000");
  ASSERT_TRUE(handle.ok()) << handle.status();
  const std::string proc = fmt::format("/proc/{}", handle->monitor_pid);
  int64_t anonymous = 0;
  // Half a second after the last output the buffers are given back.
  EXPECT_TRUE(Eventually([&] {
    for (const std::string& line : Split(*ReadFile(proc + "/smaps_rollup"), '\n')) {
      if (line.rfind("Anonymous:", 0) == 0) {
        anonymous = *ParseInt(Words(line)[1]);
      }
    }
    return anonymous > 0 && anonymous <= 40;
  })) << anonymous
      << " kB";
  const auto switches = [&] {
    std::string sum;
    for (const std::string& line : Split(*ReadFile(proc + "/status"), '\n')) {
      sum += line.find("ctxt_switches") != std::string::npos ? line : "";
    }
    return sum;
  };
  // No wake-up for twice the time after which a silent stream comes to rest.
  EXPECT_TRUE(Eventually([&] {
    const std::string before = switches();
    std::this_thread::sleep_for(std::chrono::milliseconds(1000));
    return switches() == before;
  })) << "an idle monitor wakes up";
}

TEST_P(MonitorTest, ReadExitRefusesGarbage) {
  ASSERT_TRUE(WriteFileAtomic(run_dir() + "/exit", "code x\n").ok());
  EXPECT_EQ(ReadExit(run_dir()).status().code(), absl::StatusCode::kDataLoss);
  ASSERT_TRUE(WriteFileAtomic(run_dir() + "/exit", "code 1\n").ok());
  EXPECT_EQ(ReadExit(run_dir()).status().code(), absl::StatusCode::kDataLoss);
  ASSERT_TRUE(WriteFileAtomic(run_dir() + "/exit", "version 1\ncode 3\nlater 4\n").ok());
  EXPECT_EQ((*ReadExit(run_dir()))->exit_code, 3);
}

}  // namespace
}  // namespace davit::server::oci
