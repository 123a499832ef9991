// SPDX-License-Identifier: Apache-2.0
//
// Clients of the attach socket.
#include "conmon/monitor_fixture.h"

namespace davit {
namespace {

using conmon::Command;
using conmon::Phase;

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

}  // namespace
}  // namespace davit
