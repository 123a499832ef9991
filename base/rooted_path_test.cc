// SPDX-License-Identifier: Apache-2.0
#include "base/rooted_path.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "base/test_util.h"

namespace davit {
namespace {

class RootedPath : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(MakeDirs(dir_ / "root/etc"));
    ASSERT_OK(WriteFileAtomic(dir_ / "secret", "outside"));
    ASSERT_OK(WriteFileAtomic(dir_ / "root/etc/passwd", "inside"));
    root_ = *Open(dir_ / "root", O_PATH | O_DIRECTORY);
  }
  void Link(const std::string& target, const std::string& name) {
    ASSERT_EQ(symlink(target.c_str(), (dir_ / ("root/" + name)).c_str()), 0);
  }
  absl::StatusOr<std::string> Read(const std::string& path) {
    return ReadFileInRoot(root_.get(), path, 1000);
  }

  test::TempDir dir_;
  UniqueFd root_;
};

TEST_F(RootedPath, EverythingStaysInside) {
  Link("/etc", "abs");
  Link("../../../../etc/passwd", "climb");
  Link(dir_ / "secret", "host");
  Link("../secret", "up");
  EXPECT_EQ(*Read("/etc/passwd"), "inside");
  EXPECT_EQ(*Read("etc/passwd"), "inside");
  EXPECT_EQ(*Read("//../../etc/../etc/passwd"), "inside");
  EXPECT_EQ(*Read("abs/passwd"), "inside");
  EXPECT_EQ(*Read("climb"), "inside");
  EXPECT_TRUE(absl::IsNotFound(Read("host").status()));
  EXPECT_TRUE(absl::IsNotFound(Read("up").status()));
  EXPECT_TRUE(absl::IsNotFound(Read("../secret").status()));
}

TEST_F(RootedPath, MagicLinksAndLoopsAreRefused) {
  Link("loop", "loop");
  EXPECT_TRUE(absl::IsInvalidArgument(Read("loop").status()));
  const UniqueFd proc = *Open("/proc", O_PATH | O_DIRECTORY);
  EXPECT_FALSE(OpenInRoot(proc.get(), "self/root/etc", O_PATH).ok());
  EXPECT_FALSE(OpenInRoot(proc.get(), "self/cwd", O_PATH | O_DIRECTORY).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Read(std::string("etc/passwd\0/x", 13)).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Read(std::string(10'000, 'a')).status()));
  EXPECT_EQ(Read("etc/passwd/x").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(RootedPath, BeneathFailsInsteadOfReRooting) {
  Link("/etc", "abs");
  Link("../secret", "up");
  Link("etc", "rel");
  EXPECT_OK(OpenBeneath(root_.get(), "rel/passwd", O_RDONLY));
  EXPECT_OK(OpenBeneath(root_.get(), "", O_PATH));
  for (const char* bad : {"abs", "up", "../secret", "etc/../../secret"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(OpenBeneath(root_.get(), bad, O_RDONLY).status())) << bad;
  }
}

TEST_F(RootedPath, OpensWithCreationAndCloseOnExec) {
  const auto fd = OpenInRoot(root_.get(), "/new", O_RDWR | O_CREAT | O_EXCL, 0640);
  ASSERT_OK(fd);
  EXPECT_NE(fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_TRUE(PathExists(dir_ / "root/new"));
  // A mode without creation is not an error, as for open(2).
  EXPECT_OK(OpenInRoot(root_.get(), "/new", O_RDONLY, 0640));
}

TEST_F(RootedPath, MakeDirsFollowsLinksWithinTheRoot) {
  Link("/run", "var-run");  // dangling as yet
  Link("../../../tmp/x", "etc/dangling");
  Link("etc", "alias");
  EXPECT_OK(MakeDirsInRoot(root_.get(), "/var-run/a/b", 0755));
  EXPECT_TRUE(PathExists(dir_ / "root/run/a/b"));
  EXPECT_OK(MakeDirsInRoot(root_.get(), "etc/dangling/y", 0755));
  EXPECT_TRUE(PathExists(dir_ / "root/tmp/x/y"));
  EXPECT_OK(MakeDirsInRoot(root_.get(), "alias/../../../deep//./er", 0755));
  EXPECT_TRUE(PathExists(dir_ / "root/deep/er"));
  EXPECT_OK(MakeDirsInRoot(root_.get(), "/", 0755));
  const mode_t before = umask(0077);
  const auto made = MakeDirsInRoot(root_.get(), "modes/m", 0711);
  umask(before);
  struct stat st = {};
  ASSERT_OK(made);
  ASSERT_EQ(fstat(made->get(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0711U);
  EXPECT_EQ(*ListDir(dir_.path()), (std::vector<std::string>{"root", "secret"}));
}

TEST_F(RootedPath, MakeDirsFailsOnLoopsAndFiles) {
  Link("b", "a");
  Link("a", "b");
  Link("selfish/x", "selfish");
  EXPECT_FALSE(MakeDirsInRoot(root_.get(), "a/x", 0755).ok());
  EXPECT_FALSE(MakeDirsInRoot(root_.get(), "selfish/y", 0755).ok());
  EXPECT_EQ(MakeDirsInRoot(root_.get(), "etc/passwd/x", 0755).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(RootedPath, TellsWhereADescriptorLies) {
  Link("/etc", "abs");
  const auto where = [this](const std::string& path) {
    return *PathInRoot(root_.get(), OpenInRoot(root_.get(), path, O_PATH)->get());
  };
  EXPECT_EQ(where("/abs/passwd"), "/etc/passwd");
  EXPECT_EQ(where("../.."), "/");
  const UniqueFd outside = *Open("/", O_PATH);
  EXPECT_FALSE(PathInRoot(root_.get(), outside.get()).ok());
  EXPECT_EQ(*PathInRoot(outside.get(), outside.get()), "/");
}

TEST_F(RootedPath, ReadTakesRegularFilesOnly) {
  ASSERT_EQ(mkfifo((dir_ / "root/fifo").c_str(), 0600), 0);
  EXPECT_EQ(Read("fifo").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Read("etc").status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_OK(WriteFileAtomic(dir_ / "root/big", std::string(1001, 'x')));
  EXPECT_EQ(Read("big").status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(RootedPath, ARaceOfRenamesNeverLeadsOut) {
  ASSERT_OK(MakeDirs(dir_ / "root/a/b"));
  ASSERT_OK(WriteFileAtomic(dir_ / "root/a/b/secret", "inside"));
  ASSERT_OK(WriteFileAtomic(dir_ / "root/secret", "inside"));
  std::atomic<bool> stop{false};
  const std::string inner = dir_ / "root/a/b";
  const std::string moved = dir_ / "b";
  std::thread attacker([&] {
    while (!stop.load()) {
      rename(inner.c_str(), moved.c_str());
      rename(moved.c_str(), inner.c_str());
    }
  });
  for (int i = 0; i < 2000; ++i) {
    const auto text = Read("a/b/../../secret");
    EXPECT_NE(text.value_or(""), "outside");
  }
  stop = true;
  attacker.join();
}

}  // namespace
}  // namespace davit
