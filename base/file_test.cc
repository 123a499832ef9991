// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <thread>

#include "base/test_util.h"

namespace davit {
namespace {

using test::TempDir;

mode_t ModeOf(const std::string& path) {
  struct stat st = {};
  return lstat(path.c_str(), &st) == 0 ? st.st_mode & 07777U : 0;
}

TEST(UniqueFd, ClosesOnceAndMoves) {
  UniqueFd a = *Open("/dev/null", O_RDONLY);
  const int number = a.get();
  UniqueFd b = std::move(a);
  EXPECT_FALSE(a.valid());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(b.get(), number);
  EXPECT_NE(fcntl(number, F_GETFD) & FD_CLOEXEC, 0);
  b.Reset();
  EXPECT_FALSE(b.valid());
  b = *Open("/dev/null", O_RDONLY);
  const int released = b.Release();
  EXPECT_EQ(close(released), 0);
}

TEST(File, ReadsProcFilesAndLimits) {
  EXPECT_NE(ReadFile("/proc/self/status")->find("Pid:"), std::string::npos);
  TempDir dir;
  const std::string data(100'000, 'x');
  ASSERT_OK(WriteFileAtomic(dir / "f", data));
  EXPECT_EQ(*ReadFile(dir / "f"), data);
  EXPECT_EQ(*ReadFile(dir / "f", data.size()), data);
  EXPECT_EQ(ReadFile(dir / "f", data.size() - 1).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(absl::IsNotFound(ReadFile(dir / "none").status()));
  ASSERT_OK(WriteFileAtomic(dir / "empty", ""));
  EXPECT_EQ(*ReadFile(dir / "empty", 0), "");
  EXPECT_FALSE(ReadFile(dir.path()).ok());
}

TEST(File, WriteFileAtomicReplacesAndLeavesNothing) {
  TempDir dir;
  const mode_t umask_before = umask(0077);
  EXPECT_OK(WriteFileAtomic(dir / "f", "one", 0644, Durability::kDurable));
  EXPECT_OK(WriteFileAtomic(dir / "f", "two", 0640));
  umask(umask_before);
  EXPECT_EQ(*ReadFile(dir / "f"), "two");
  EXPECT_EQ(ModeOf(dir / "f"), 0640U);
  ASSERT_OK(MakeDirs(dir / "d"));
  EXPECT_FALSE(WriteFileAtomic(dir / "d", "x").ok());
  EXPECT_TRUE(absl::IsNotFound(WriteFileAtomic(dir / "no/f", "x")));
  EXPECT_EQ(*ListDir(dir.path()), (std::vector<std::string>{"d", "f"}));
}

TEST(File, WriteFileAtomicNeverShowsHalf) {
  TempDir dir;
  const std::string a(50'000, 'a');
  const std::string b(70'000, 'b');
  ASSERT_OK(WriteFileAtomic(dir / "f", a));
  std::thread writer([&] {
    for (int i = 0; i < 50; ++i) {
      EXPECT_OK(WriteFileAtomic(dir / "f", i % 2 == 0 ? b : a));
    }
  });
  for (int i = 0; i < 200; ++i) {
    const std::string seen = *ReadFile(dir / "f");
    EXPECT_TRUE(seen == a || seen == b);
  }
  writer.join();
}

TEST(File, WriteExistingCreatesNothing) {
  TempDir dir;
  EXPECT_TRUE(absl::IsNotFound(WriteExisting(dir / "f", "x")));
  EXPECT_FALSE(PathExists(dir / "f"));
  ASSERT_OK(WriteFileAtomic(dir / "f", "longer"));
  EXPECT_OK(WriteExisting(dir / "f", "x"));
  EXPECT_EQ(*ReadFile(dir / "f"), "x");
}

TEST(File, MakeDirsWhateverTheUmask) {
  TempDir dir;
  const mode_t umask_before = umask(0077);
  EXPECT_OK(MakeDirs(dir / "a/b//c/", 0755));
  umask(umask_before);
  EXPECT_EQ(ModeOf(dir / "a"), 0755U);
  EXPECT_EQ(ModeOf(dir / "a/b/c"), 0755U);
  EXPECT_OK(MakeDirs(dir / "a/b/c", 0700));
  EXPECT_EQ(ModeOf(dir / "a/b/c"), 0755U);
  ASSERT_OK(WriteFileAtomic(dir / "f", ""));
  EXPECT_EQ(MakeDirs(dir / "f/x").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MakeDirs(dir / "f").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(MakeDirs("").ok());
  EXPECT_OK(MakeDirs("/"));
}

TEST(File, RemoveFileTakesEmptyDirectories) {
  TempDir dir;
  ASSERT_OK(MakeDirs(dir / "d"));
  ASSERT_OK(MakeDirs(dir / "full/x"));
  EXPECT_OK(RemoveFile(dir / "d"));
  EXPECT_OK(RemoveFile(dir / "d"));
  EXPECT_FALSE(RemoveFile(dir / "full").ok());
}

TEST(File, JoinPathHasOneSlash) {
  EXPECT_EQ(JoinPath("/a", "b"), "/a/b");
  EXPECT_EQ(JoinPath("/a//", "//b/c"), "/a/b/c");
  EXPECT_EQ(JoinPath("/", "b"), "/b");
}

TEST(RemoveTree, LeavesWhatSymlinksPointTo) {
  TempDir dir;
  ASSERT_OK(MakeDirs(dir / "keep/sub"));
  ASSERT_OK(WriteFileAtomic(dir / "keep/f", "x"));
  ASSERT_OK(MakeDirs(dir / "tree/a/b"));
  ASSERT_EQ(symlink((dir / "keep").c_str(), (dir / "tree/a/link").c_str()), 0);
  ASSERT_EQ(symlink("../keep", (dir / "tree/up").c_str()), 0);
  ASSERT_EQ(mkfifo((dir / "tree/fifo").c_str(), 0600), 0);
  EXPECT_OK(RemoveTree(dir / "tree/"));
  EXPECT_FALSE(PathExists(dir / "tree"));
  EXPECT_TRUE(PathExists(dir / "keep/f"));
  ASSERT_EQ(symlink((dir / "keep").c_str(), (dir / "link").c_str()), 0);
  EXPECT_OK(RemoveTree(dir / "link"));
  EXPECT_FALSE(PathExists(dir / "link"));
  EXPECT_TRUE(PathExists(dir / "keep/sub"));
  EXPECT_OK(RemoveTree(dir / "link"));
  EXPECT_OK(RemoveTree(dir / "no/such"));
  EXPECT_FALSE(RemoveTree("/").ok());
  EXPECT_FALSE(RemoveTree(dir / "keep/..").ok());
  EXPECT_FALSE(RemoveTree("").ok());
}

// In memory: some disks take milliseconds to remove a directory.
TEST(RemoveTree, TakesThousandsOfLevelsWithFewDescriptors) {
  TempDir dir("/dev/shm");
  ASSERT_OK(MakeDirs(dir / "deep"));
  UniqueFd at = *Open(dir / "deep", O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(mkdirat(at.get(), "a-name-of-some-length", 0700), 0);
    at = *OpenAt(at.get(), "a-name-of-some-length", O_RDONLY | O_DIRECTORY);
  }
  at.Reset();
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = dup(0);
  close(next);
  const rlimit few = {static_cast<rlim_t>(next + 8), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  const absl::Status status = RemoveTree(dir / "deep");
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_OK(status);
  EXPECT_FALSE(PathExists(dir / "deep"));
}

TEST(RemoveTree, TakesWideDirectories) {
  TempDir dir("/dev/shm");
  ASSERT_OK(MakeDirs(dir / "wide"));
  const UniqueFd wide = *Open(dir / "wide", O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 9000; ++i) {
    ASSERT_EQ(mkdirat(wide.get(), std::to_string(i).c_str(), i % 7 == 0 ? 0 : 0700), 0);
  }
  EXPECT_OK(RemoveTree(dir / "wide"));
  EXPECT_FALSE(PathExists(dir / "wide"));
}

TEST(RemoveTree, StopsAtMounts) {
  if (!test::IsRoot()) {
    GTEST_SKIP() << "mounting needs root";
  }
  TempDir dir;
  ASSERT_OK(MakeDirs(dir / "t/sub/mnt"));
  ASSERT_OK(MakeDirs(dir / "src"));
  ASSERT_OK(WriteFileAtomic(dir / "src/f", "precious"));
  ASSERT_OK(WriteFileAtomic(dir / "t/file", ""));
  // The same file system on both sides: device numbers do not tell.
  ASSERT_EQ(mount((dir / "src").c_str(), (dir / "t/sub/mnt").c_str(), nullptr, MS_BIND, nullptr),
            0);
  absl::Status status = RemoveTree(dir / "t");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(Message(status).find("t/sub/mnt"), std::string::npos) << status;
  EXPECT_EQ(RemoveTree(dir / "t/sub/mnt").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(umount((dir / "t/sub/mnt").c_str()), 0);
  EXPECT_EQ(*ReadFile(dir / "src/f"), "precious");

  ASSERT_OK(MakeDirs(dir / "t"));
  ASSERT_OK(WriteFileAtomic(dir / "t/file", ""));
  ASSERT_EQ(mount((dir / "src/f").c_str(), (dir / "t/file").c_str(), nullptr, MS_BIND, nullptr), 0);
  status = RemoveTree(dir / "t");
  EXPECT_EQ(umount((dir / "t/file").c_str()), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_EQ(*ReadFile(dir / "src/f"), "precious");
  EXPECT_OK(RemoveTree(dir / "t"));
}

TEST(RemoveTree, SurvivesAConcurrentWriterAndRemover) {
  TempDir dir;
  ASSERT_OK(MakeDirs(dir / "t"));
  for (int i = 0; i < 200; ++i) {
    ASSERT_OK(MakeDirs(dir / fmt::format("t/{}/{}/x", i % 10, i)));
  }
  absl::Status other;
  std::thread remover([&] { other = RemoveTree(dir / "t"); });
  const absl::Status mine = RemoveTree(dir / "t");
  remover.join();
  EXPECT_TRUE(mine.ok() || other.ok()) << mine << other;
  EXPECT_OK(RemoveTree(dir / "t"));
  EXPECT_FALSE(PathExists(dir / "t"));
}

}  // namespace
}  // namespace davit
