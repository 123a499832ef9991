// SPDX-License-Identifier: Apache-2.0
//
// What containers write, to the log and the journal, whatever becomes of them.
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "conmon/monitor_fixture.h"

namespace davit {
namespace {

namespace fs = std::filesystem;
using conmon::Command;
using conmon::Phase;

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
