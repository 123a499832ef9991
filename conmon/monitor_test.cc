// SPDX-License-Identifier: Apache-2.0
//
// The life of a monitor: start, exit file, control socket, versions.
#include <signal.h>

#include <fstream>

#include "conmon/monitor_fixture.h"

namespace davit {
namespace {

using conmon::Command;
using conmon::Phase;
using conmon::Reply;
using conmon::Request;

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

}  // namespace
}  // namespace davit
