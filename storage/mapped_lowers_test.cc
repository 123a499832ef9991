// SPDX-License-Identifier: Apache-2.0
#include "storage/mapped_lowers.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/mount.h"
#include "base/status.h"
#include "storage/overlay.h"
#include "storage/test_util.h"

namespace davit::storage {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kHost = 300'000;

const IdMappings kMappings{.uids = {{.inside = 0, .outside = kHost, .count = 65'536}},
                           .gids = {{.inside = 0, .outside = kHost + 100'000, .count = 65'536}}};

TEST(IdMapping, ChecksAndMaps) {
  EXPECT_TRUE(CheckMappings({}).ok());
  EXPECT_TRUE(CheckMappings(kMappings).ok());
  const std::vector<IdRange> good = kMappings.uids;
  const std::vector<std::vector<IdRange>> bad = {
      {},
      {{.inside = 1, .outside = 1, .count = 5}},
      {{.inside = 0, .outside = 1, .count = 0}},
      {{.inside = 0, .outside = 4'294'967'290, .count = 10}},
      {{.inside = 0, .outside = 10, .count = 10}, {.inside = 5, .outside = 100, .count = 10}},
      {{.inside = 0, .outside = 10, .count = 10}, {.inside = 50, .outside = 19, .count = 1}}};
  for (const auto& ranges : bad) {
    EXPECT_EQ(CheckMappings({.uids = good, .gids = ranges}).code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(MapToHost(good, 7), kHost + 7);
  EXPECT_EQ(MapToHost(good, 70'000), kHost) << "what is not mapped is root's";
  EXPECT_EQ(MapToHost({}, 7), 7U);
  EXPECT_EQ(KernelMap(good), "0 300000 65536\n");
}

class MappedRootfs : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    if (!IsSkipped()) {
      TarBuilder tar;
      tar.Add({.name = "./", .type = '5', .mode = 0751, .uid = 1});
      tar.Dir("bin").Add({.name = "bin/su", .data = "elf", .mode = 04755, .gid = 5});
      tar.Add({.name = "bin/ping",
               .data = "elf",
               .mode = 0755,
               .pax = {{"SCHILY.xattr.security.capability", capability_}}});
      tar.Add({.name = "home", .type = '5', .mode = 0755, .uid = 1000, .gid = 1000});
      tar.Symlink("l", "bin/su").Add({.name = "far", .data = "x", .uid = 100'000});
      ASSERT_TRUE(Image('a', {tar.Finish(), TarBuilder().File("home/f", "top").Finish()}, {}).ok());
    }
  }
  void ExpectMapped(const std::string& root) {
    EXPECT_EQ(StatOf(root).st_uid, kHost + 1);
    EXPECT_EQ(StatOf(root).st_mode & 07777U, 0751U);
    EXPECT_EQ(StatOf(root + "/bin/su").st_uid, kHost);
    EXPECT_EQ(StatOf(root + "/bin/su").st_gid, kHost + 100'000 + 5);
    EXPECT_EQ(StatOf(root + "/bin/su").st_mode & 07777U, 04755U);
    EXPECT_EQ(StatOf(root + "/home").st_uid, kHost + 1000) << "although the upper layer implies it";
    EXPECT_EQ(StatOf(root + "/home").st_gid, kHost + 100'000 + 1000);
    EXPECT_EQ(StatOf(root + "/l").st_uid, kHost);
    EXPECT_EQ(Text(root + "/home/f"), "top");
  }
  // cap_net_raw+ep, revision 2.
  const std::string capability_ = std::string("\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
};

TEST_F(MappedRootfs, LayersAppearWithTheHostsIds) {
  const auto can = CanIdmap(dir_.path());
  ASSERT_TRUE(can.ok()) << Message(can.status());
  if (!*can) {
    GTEST_SKIP() << "the file system of " << dir_.path() << " cannot be ID-mapped";
  }
  ASSERT_TRUE(
      store_->CreateRootfs("c1", ImageId('a'), {.size_limit = 0, .mappings = kMappings}).ok());
  auto root = store_->MountRootfs("c1", {});
  ASSERT_TRUE(root.ok()) << Message(root.status());
  ExpectMapped(*root);
  EXPECT_FALSE(PathExists(paths().Mapped("c1"))) << "nothing is copied";
  EXPECT_EQ(
      StatOf(paths().Diff(DiffId(TarBuilder().File("home/f", "top").Finish())) + "/home/f").st_uid,
      0U)
      << "the image is as it was";
  EXPECT_TRUE(ListDir(paths().Scratch())->empty());
  // What is written belongs to the host's IDs; so it is after the next mount.
  ASSERT_EQ(chown((*root + "/home/f").c_str(), kHost + 9, kHost + 100'000), 0);
  EXPECT_EQ(StatOf(paths().Upper("c1") + "/home/f").st_uid, kHost + 9);
  ASSERT_TRUE(store_->UnmountRootfs("c1").ok());
  OpenStore();
  root = store_->MountRootfs("c1", {});
  ASSERT_TRUE(root.ok()) << Message(root.status());
  EXPECT_EQ(StatOf(*root + "/home/f").st_uid, kHost + 9);
  ExpectMapped(*root);
  ASSERT_TRUE(store_->RemoveRootfs("c1").ok());
}

// The process that a pod's user namespace makes root is root of the files.
TEST_F(MappedRootfs, RootOfTheNamespaceMayWrite) {
  ASSERT_TRUE(
      store_->CreateRootfs("c1", ImageId('a'), {.size_limit = 0, .mappings = kMappings}).ok());
  const auto root = store_->MountRootfs("c1", {});
  ASSERT_TRUE(root.ok()) << Message(root.status());
  const auto dir = Open(*root, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(dir.ok());
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(kHost + 100'000) != 0 || setuid(kHost) != 0) {
      _exit(1);
    }
    const int fd = openat(dir->get(), "bin/su", O_WRONLY | O_TRUNC);
    _exit(fd >= 0 && write(fd, "new", 3) == 3 ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(Text(*root + "/bin/su"), "new");
  EXPECT_EQ(Text(paths().Upper("c1") + "/bin/su"), "new");
}

// What is done where mounts cannot be ID-mapped.
TEST_F(MappedRootfs, ChownLayerGivesTheSame) {
  const std::string lower = dir_ / "lower";
  ASSERT_TRUE(MakeDirs(lower, 0751).ok());
  ASSERT_EQ(chown(lower.c_str(), 1, 0), 0);
  for (const char* name : {"bin", "home"}) {
    ASSERT_TRUE(MakeDirs(lower + "/" + name, 0755).ok());
  }
  ASSERT_TRUE(WriteFileAtomic(lower + "/bin/su", "elf").ok());
  ASSERT_EQ(chown((lower + "/bin/su").c_str(), 0, 5), 0);
  ASSERT_EQ(chmod((lower + "/bin/su").c_str(), 04755), 0);
  ASSERT_TRUE(WriteFileAtomic(lower + "/bin/ping", "elf").ok());
  ASSERT_EQ(setxattr((lower + "/bin/ping").c_str(), "security.capability", capability_.data(),
                     capability_.size(), 0),
            0);
  ASSERT_EQ(chown((lower + "/home").c_str(), 1000, 1000), 0);
  ASSERT_TRUE(WriteFileAtomic(lower + "/home/f", "top").ok());
  ASSERT_EQ(symlink("bin/su", (lower + "/l").c_str()), 0);
  ASSERT_TRUE(WriteFileAtomic(lower + "/big", std::string(1U << 20U, 'b')).ok());

  const absl::Status made = MakeChownLayer({lower}, dir_ / "mapped", kMappings, dir_ / "scratch");
  ASSERT_TRUE(made.ok()) << Message(made);
  EXPECT_EQ(StatOf(dir_ / "mapped/upper/big").st_size, 1 << 20);
  EXPECT_LT(StatOf(dir_ / "mapped/upper/big").st_blocks * 512, 1 << 19) << "no data is copied";
  for (const char* name : {"upper", "work", "root"}) {
    ASSERT_TRUE(MakeDirs(dir_ / name, 0751).ok());
  }
  ASSERT_EQ(chown((dir_ / "upper").c_str(), kHost + 1, 0), 0);
  const OverlaySpec spec{.lowers = {dir_ / "mapped/upper", lower},
                         .upper = dir_ / "upper",
                         .work = dir_ / "work",
                         .options = ChownOptions(),
                         .scratch = {}};
  const absl::Status mounted = MountOverlay(spec, dir_ / "root");
  ASSERT_TRUE(mounted.ok()) << Message(mounted);
  ExpectMapped(dir_ / "root");
  const std::string capability = Xattr(dir_ / "root/bin/ping", "security.capability");
  ASSERT_EQ(capability.size(), 24U);
  EXPECT_EQ(capability[3], 3) << "good for the namespace's root only";
}

}  // namespace
}  // namespace davit::storage
