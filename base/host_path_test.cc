// SPDX-License-Identifier: Apache-2.0
#include "base/host_path.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <stop_token>
#include <thread>

#include "base/test_util.h"

namespace davit {
namespace {

constexpr uid_t kUser = 12345;

class HostPathTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(MakeDirs(dir_ / "real/deep", 0755));
    ASSERT_OK(MakeDirs(dir_ / "outside/deep", 0755));
    ASSERT_OK(WriteFileAtomic(dir_ / "real/file", "text"));
  }
  void Link(const std::string& target, const std::string& name) const {
    ASSERT_EQ(symlink(target.c_str(), (dir_ / name).c_str()), 0);
  }
  void Give(const std::string& name) const {
    ASSERT_EQ(lchown((dir_ / name).c_str(), kUser, kUser), 0);
  }
  static ino_t Inode(const std::string& path) {
    struct stat st = {};
    EXPECT_EQ(stat(path.c_str(), &st), 0) << path;
    return st.st_ino;
  }
  static ino_t Inode(const HostPath& place) {
    struct stat st = {};
    EXPECT_EQ(fstat(place.fd.get(), &st), 0);
    return st.st_ino;
  }
  [[nodiscard]] absl::StatusOr<HostPath> At(const std::string& name) const {
    return OpenHostPath(dir_ / name);
  }

  test::TempDir dir_;
};

TEST_F(HostPathTest, LeadsWhereTheKernelWouldLead) {
  Link("real", "relative");
  Link(dir_ / "outside", "absolute");
  Link("relative/../absolute/deep", "both");
  for (const auto& [name, real] : {std::pair("real/deep", "real/deep"),
                                   {"real//./deep/", "real/deep"},
                                   {"real/../outside", "outside"},
                                   {"relative/deep", "real/deep"},
                                   {"real/file", "real/file"},
                                   {"absolute/deep", "outside/deep"},
                                   {"both", "outside/deep"}}) {
    const auto place = At(name);
    ASSERT_OK(place.status()) << name;
    EXPECT_EQ(place->path, std::filesystem::canonical(dir_ / real).string()) << name;
    EXPECT_EQ(Inode(*place), Inode(dir_ / real)) << name;
    EXPECT_FALSE(place->movable) << name;
  }
  const auto root = OpenHostPath("/");
  ASSERT_OK(root.status());
  EXPECT_EQ(root->path, "/");
  const auto above = OpenHostPath("/../..");
  ASSERT_OK(above.status());
  EXPECT_EQ(above->path, "/");
}

TEST_F(HostPathTest, WhatLeadsNowhere) {
  Link("nothing", "dangling");
  Link("loop", "loop");
  EXPECT_TRUE(absl::IsNotFound(At("absent/deep").status()));
  for (const char* name : {"dangling", "dangling/deep", "loop", "real/file/deep"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(At(name).status())) << name << At(name).status();
    EXPECT_TRUE(absl::IsInvalidArgument(MakeHostPath(dir_ / name, 0755).status())) << name;
  }
  EXPECT_FALSE(PathExists(dir_ / "nothing"));
}

TEST_F(HostPathTest, MakesWhatIsMissing) {
  Link("real", "link");
  const mode_t old = umask(077);
  const auto made = MakeHostPath(dir_ / "link/a/b", 0755);
  umask(old);
  ASSERT_OK(made.status());
  for (const char* name : {"real/a", "real/a/b"}) {
    struct stat st = {};
    ASSERT_EQ(stat((dir_ / name).c_str(), &st), 0) << name;
    EXPECT_EQ(st.st_mode, S_IFDIR | 0755U) << name;
  }
  EXPECT_EQ(Inode(*made), Inode(dir_ / "real/a/b"));
  ASSERT_OK(MakeHostPath(dir_ / "link/a/b", 0700).status());
  EXPECT_EQ(Inode(*MakeHostPath(dir_ / "real/file", 0755)), Inode(dir_ / "real/file"));
}

// From here on another user is at work, for whom the tests have to be root.
class OthersAtWork : public HostPathTest {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "only root can make files of another user";
    }
    HostPathTest::SetUp();
    ASSERT_OK(MakeDirs(dir_ / "theirs/sub/deep", 0755));
    for (const char* name : {"theirs", "theirs/sub", "theirs/sub/deep"}) {
      Give(name);
    }
  }
};

TEST_F(OthersAtWork, TheirSymlinksLeadToWhatIsTheirs) {
  Link("sub", "theirs/own");
  Link(dir_ / "outside", "theirs/out");
  Link("../real/file", "theirs/file");
  Link("../theirs/sub", "real/back");
  for (const char* name : {"theirs/own", "theirs/out", "theirs/file"}) {
    Give(name);
  }
  const auto own = At("theirs/own/deep");
  ASSERT_OK(own.status());
  EXPECT_EQ(Inode(*own), Inode(dir_ / "theirs/sub/deep"));
  ASSERT_OK(At("real/back").status());
  for (const char* name : {"theirs/out", "theirs/out/deep", "theirs/file"}) {
    const absl::Status refused = At(name).status();
    EXPECT_TRUE(absl::IsPermissionDenied(refused)) << name << refused;
    EXPECT_NE(Message(refused).find("symlink of user 12345"), std::string::npos) << refused;
  }
  EXPECT_TRUE(absl::IsPermissionDenied(MakeHostPath(dir_ / "theirs/out/new", 0755).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(MakeHostPath(dir_ / "theirs/own/new", 0755).status()));
  EXPECT_FALSE(PathExists(dir_ / "outside/new"));
  ASSERT_OK(MakeHostPath(dir_ / "theirs/sub/new", 0755).status());
}

TEST_F(OthersAtWork, SaysWhatTheyMayReplace) {
  const auto movable = [this](const char* name) {
    const auto place = At(name);
    EXPECT_TRUE(place.ok()) << place.status();
    return place.ok() && place->movable;
  };
  EXPECT_FALSE(movable("real/deep"));
  EXPECT_FALSE(movable("theirs"));  // stands in a directory of ours
  EXPECT_TRUE(movable("theirs/sub"));
  EXPECT_TRUE(movable("theirs/sub/deep"));
  ASSERT_EQ(chmod((dir_ / "real").c_str(), 0777), 0);
  EXPECT_TRUE(movable("real/deep"));
  ASSERT_EQ(chmod((dir_ / "real").c_str(), 01777), 0);
  EXPECT_FALSE(movable("real/deep"));
  Give("real/deep");
  EXPECT_TRUE(movable("real/deep"));
  ASSERT_EQ(chmod((dir_ / "outside").c_str(), 0775), 0);
  EXPECT_FALSE(movable("outside/deep"));
  ASSERT_EQ(chown((dir_ / "outside").c_str(), 0, kUser), 0);
  ASSERT_EQ(chmod((dir_ / "outside").c_str(), 0775), 0);
  EXPECT_TRUE(movable("outside/deep"));
}

// A user swaps a directory on the way with a symlink that leads out, all the time.
TEST_F(OthersAtWork, ASwapperLeadsNobodyOut) {
  Link(dir_ / "outside", "theirs/link");
  Give("theirs/link");
  const ino_t real = Inode(dir_ / "theirs/sub/deep");
  const std::jthread swapper([&](const std::stop_token& stop) {
    const std::string sub = dir_ / "theirs/sub";
    const std::string link = dir_ / "theirs/link";
    while (!stop.stop_requested()) {
      EXPECT_EQ(renameat2(AT_FDCWD, sub.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE), 0);
    }
  });
  int opened = 0;
  int refused = 0;
  for (int i = 0; i < 20'000 || ((opened == 0 || refused == 0) && i < 2'000'000); ++i) {
    const auto place = At("theirs/sub/deep");
    if (place.ok()) {
      ++opened;
      ASSERT_EQ(Inode(*place), real);
      ASSERT_TRUE(place->movable);
    } else {
      ++refused;
      ASSERT_TRUE(absl::IsPermissionDenied(place.status())) << place.status();
    }
    if (i % 16 == 0) {
      MakeHostPath(dir_ / "theirs/sub/new", 0755).status().IgnoreError();
    }
  }
  EXPECT_GT(opened, 0);
  EXPECT_GT(refused, 0);
  EXPECT_FALSE(PathExists(dir_ / "outside/new"));
}

}  // namespace
}  // namespace davit
