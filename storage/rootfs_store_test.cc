// SPDX-License-Identifier: Apache-2.0
#include "storage/rootfs_store.h"

#include <sys/mount.h>
#include <sys/statfs.h>
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

using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

#define ASSERT_OK(expr)                           \
  do {                                            \
    const absl::Status ok_ = (expr);              \
    ASSERT_TRUE(ok_.ok()) << davit::Message(ok_); \
  } while (false)

class RootfsStoreTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    if (store_) {
      ASSERT_OK(Image('a',
                      {TarBuilder()
                           .Add({.name = "./", .type = '5', .mode = 0751, .uid = 9})
                           .File("bin/sh", "low")
                           .Finish(),
                       TarBuilder().File("bin/sh", "high").Finish()},
                      {}));
    }
  }
  absl::StatusOr<std::string> Make(const std::string& id) {
    RETURN_IF_ERROR(store_->CreateRootfs(id, ImageId('a')));
    return store_->MountRootfs(id, {});
  }
};

TEST_F(RootfsStoreTest, MountWriteUnmountMountAgainRemove) {
  auto path = Make("c1");
  ASSERT_TRUE(path.ok()) << Message(path.status());
  EXPECT_EQ(*path, dir_ / "run/containers/c1/rootfs");
  EXPECT_EQ(Text(*path + "/bin/sh"), "high");
  EXPECT_EQ(StatOf(*path).st_mode & 07777U, 0751U) << "the root is as the image says";
  EXPECT_EQ(StatOf(*path).st_uid, 9U);
  ASSERT_OK(WriteFileAtomic(*path + "/new", "mine"));
  EXPECT_EQ(*store_->MountRootfs("c1", {}), *path) << "is mounted";
  EXPECT_EQ(MountsBelow(*path)->size(), 1U);
  ASSERT_OK(store_->UnmountRootfs("c1"));
  ASSERT_OK(store_->UnmountRootfs("c1"));
  EXPECT_EQ(Text(*path + "/new"), "(missing)");
  path = store_->MountRootfs("c1", {});  // although the upper was volatile
  ASSERT_TRUE(path.ok()) << Message(path.status());
  EXPECT_EQ(Text(*path + "/new"), "mine");
  ASSERT_OK(store_->RemoveRootfs("c1"));
  ASSERT_OK(store_->RemoveRootfs("c1"));
  EXPECT_FALSE(PathExists(paths().Container("c1")));
  EXPECT_FALSE(PathExists(paths().RunContainer("c1")));
  EXPECT_THAT(store_->ListRootfs(), IsEmpty());
  EXPECT_EQ(Text(paths().Diff(Digest::Sha256Of(TarBuilder().File("bin/sh", "high").Finish())) +
                 "/bin/sh"),
            "high");
}

TEST_F(RootfsStoreTest, MountOptionsAreOurs) {
  ASSERT_TRUE(Make("c1").ok());
  const auto mount = MountOf(paths().Rootfs("c1") + "/bin");
  ASSERT_TRUE(mount.ok());
  EXPECT_EQ(mount->filesystem, "overlay");
  EXPECT_THAT(mount->super_options, HasSubstr(paths().Upper("c1")));
  EXPECT_THAT(mount->super_options, HasSubstr("volatile"));
  EXPECT_THAT(mount->super_options, Not(HasSubstr("metacopy=on")));
  EXPECT_THAT(Text("/proc/self/mountinfo"), HasSubstr("/containers/c1/rootfs rw,nodev"));
}

TEST_F(RootfsStoreTest, ConfiguredOptionsReplaceTheDefaults) {
  options_.mount_options = {"metacopy=on", "redirect_dir=on", "dev", "nosuid"};
  OpenStore();
  ASSERT_TRUE(Make("c1").ok());
  EXPECT_THAT(MountOf(paths().Rootfs("c1"))->super_options, HasSubstr("metacopy=on"));
  EXPECT_THAT(Text("/proc/self/mountinfo"), HasSubstr("/containers/c1/rootfs rw,nosuid,relatime"));
}

TEST_F(RootfsStoreTest, UnknownOptionIsAClearError) {
  options_.mount_options = {"nonsense=1"};
  OpenStore();
  const auto path = Make("c1");
  EXPECT_EQ(path.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(path.status()), HasSubstr("nonsense=1"));
  ASSERT_OK(store_->RemoveRootfs("c1"));
}

TEST_F(RootfsStoreTest, CreateIsIdempotentAndExclusive) {
  ASSERT_OK(Image('b', {}, {}));
  ASSERT_OK(store_->CreateRootfs("c1", ImageId('a')));
  ASSERT_OK(store_->CreateRootfs("c1", ImageId('a')));
  EXPECT_EQ(store_->CreateRootfs("c1", ImageId('b')).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(store_->CreateRootfs("c2", ImageId('9')).code(), StatusCode::kNotFound);
  EXPECT_EQ(store_->MountRootfs("c2", {}).status().code(), StatusCode::kNotFound);
  for (const char* bad : {"", ".", "..", "a/b", "../x", ".hidden"}) {
    EXPECT_EQ(store_->CreateRootfs(bad, ImageId('a')).code(), StatusCode::kInvalidArgument) << bad;
    EXPECT_EQ(store_->RemoveRootfs(bad).code(), StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_THAT(store_->ListRootfs(), ElementsAre("c1"));
  OpenStore();
  EXPECT_THAT(store_->ListRootfs(), ElementsAre("c1"));
  EXPECT_EQ(store_->RemoveImage(ImageId('a')).code(), StatusCode::kFailedPrecondition);
}

TEST_F(RootfsStoreTest, ImageWithoutLayers) {
  ASSERT_OK(Image('b', {}, {}));
  ASSERT_OK(store_->CreateRootfs("c1", ImageId('b')));
  const auto path = store_->MountRootfs("c1", {});
  ASSERT_TRUE(path.ok()) << Message(path.status());
  EXPECT_TRUE(ListDir(*path)->empty());
  ASSERT_OK(WriteFileAtomic(*path + "/f", "1"));
  EXPECT_TRUE(ListDir(paths().EmptyLower())->empty());
  ASSERT_OK(store_->RemoveRootfs("c1"));
}

TEST_F(RootfsStoreTest, TagMovedAwayImageStillServes) {
  ASSERT_OK(Image('c', {TarBuilder().File("v", "1").Finish()}, {"r/x:1"}));
  ASSERT_OK(store_->CreateRootfs("c1", ImageId('c')));
  ASSERT_OK(Image('d', {TarBuilder().File("v", "2").Finish()}, {"r/x:1"}));
  EXPECT_EQ(Text(*store_->MountRootfs("c1", {}) + "/v"), "1");
  ASSERT_OK(store_->RemoveRootfs("c1"));
}

TEST_F(RootfsStoreTest, MountsInsideGoWithIt) {
  auto path = Make("c1");
  ASSERT_TRUE(path.ok());
  ASSERT_OK(MakeDirs(*path + "/proc"));
  ASSERT_OK(MountTmpfs(*path + "/proc", 1U << 16U));
  const std::string upper = paths().Upper("c1");
  ASSERT_OK(store_->RemoveRootfs("c1"));
  EXPECT_THAT(*MountsBelow(dir_.path()), IsEmpty());
}

TEST_F(RootfsStoreTest, UsageCountsLinksOnce) {
  ASSERT_OK(store_->CreateRootfs("c1", ImageId('a')));
  const std::string upper = paths().Upper("c1");
  ASSERT_OK(MakeDirs(upper + "/d1/d2"));
  ASSERT_OK(WriteFileAtomic(upper + "/d1/d2/f", std::string(100'000, 'x')));
  ASSERT_EQ(link((upper + "/d1/d2/f").c_str(), (upper + "/d1/l").c_str()), 0);
  ASSERT_EQ(symlink("/", (upper + "/d1/s").c_str()), 0);
  const auto usage = store_->RootfsUsage("c1");
  ASSERT_TRUE(usage.ok()) << Message(usage.status());
  EXPECT_EQ(usage->inodes_used, 5U);  // upper, d1, d2, f, s
  EXPECT_GE(usage->used_bytes, 100'000U);
  EXPECT_LT(usage->used_bytes, 200'000U);
  EXPECT_GT(usage->timestamp_ns, 0);
  EXPECT_EQ(store_->RootfsUsage("c9").status().code(), StatusCode::kNotFound);
}

TEST_F(RootfsStoreTest, UsageOfATreeDeeperThanAPath) {
  ASSERT_OK(store_->CreateRootfs("c1", ImageId('a')));
  auto at = Open(paths().Upper("c1"), O_PATH | O_DIRECTORY);
  ASSERT_TRUE(at.ok());
  const std::string name(100, 'd');
  for (int i = 0; i < 60; ++i) {
    ASSERT_EQ(mkdirat(at->get(), name.c_str(), 0700), 0);
    at = OpenAt(at->get(), name, O_PATH | O_DIRECTORY);
    ASSERT_TRUE(at.ok());
  }
  EXPECT_EQ(store_->RootfsUsage("c1")->inodes_used, 61U);
  ASSERT_OK(store_->RemoveRootfs("c1"));
}

// Overlay directories of its own, to try both ways of mounting.
class OverlayTest : public ::testing::TestWithParam<MountApi> {
 protected:
  void SetUp() override {
    if (!EnterTestNamespace()) {
      GTEST_SKIP() << "needs root for mounts";
    }
    // A thousand files are made and removed faster in memory.
    ASSERT_EQ(mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, nullptr), 0);
    for (const char* name : {"upper", "work", "target"}) {
      ASSERT_OK(MakeDirs(dir_ / name));
    }
  }
  OverlaySpec Spec(int lowers, const std::string& parent = "lower") {
    OverlaySpec spec{.lowers = {},
                     .upper = dir_ / "upper",
                     .work = dir_ / "work",
                     .options = {"index=off", "metacopy=off", "volatile"}};
    for (int i = 0; i < lowers; ++i) {
      const std::string lower = dir_ / (parent + "/" + std::to_string(i));
      EXPECT_TRUE(MakeDirs(lower).ok());
      EXPECT_TRUE(WriteFileAtomic(lower + "/f" + std::to_string(i), "x").ok());
      EXPECT_TRUE(WriteFileAtomic(lower + "/same", std::to_string(i)).ok());
      spec.lowers.push_back(lower);
    }
    return spec;
  }
  TestDir dir_;
};

TEST_P(OverlayTest, FiveHundredLayers) {
  const OverlaySpec spec = Spec(500);
  const std::string target = dir_ / "target";
  ASSERT_OK(MountOverlay(spec, target, GetParam()));
  EXPECT_EQ(Text(target + "/same"), "0") << "the first is the topmost";
  EXPECT_EQ(Text(target + "/f499"), "x");
  ASSERT_OK(WriteFileAtomic(target + "/same", "upper"));
  EXPECT_EQ(Text(dir_ / "upper/same"), "upper");
  EXPECT_TRUE(*IsMountPoint(target));
  ASSERT_OK(Unmount(target));
  EXPECT_FALSE(*IsMountPoint(target));
}

// What the kernel does not stack in one mount it does in two.
TEST_P(OverlayTest, MoreLayersThanTheKernelTakes) {
  for (const int count : {501, 700, static_cast<int>(kMaxLayers)}) {
    SCOPED_TRACE(count);
    OverlaySpec spec = Spec(count);
    spec.scratch = dir_ / "scratch";
    const std::string target = dir_ / "target";
    ASSERT_OK(MountOverlay(spec, target, GetParam()));
    EXPECT_EQ(Text(target + "/same"), "0");
    EXPECT_EQ(Text(target + "/f0") + Text(target + "/f499") + Text(target + "/f500"), "xxx");
    EXPECT_EQ(Text(target + "/f" + std::to_string(count - 1)), "x");
    ASSERT_OK(WriteFileAtomic(target + "/same", "upper"));
    ASSERT_OK(RemoveFile(target + "/f500"));
    EXPECT_FALSE(PathExists(target + "/f500"));
    ASSERT_OK(Unmount(target));
    EXPECT_TRUE(ListDir(spec.scratch)->empty());
    for (const char* name : {"upper", "work"}) {
      ASSERT_OK(RemoveTree(dir_ / name));
      ASSERT_OK(MakeDirs(dir_ / name));
    }
  }
}

TEST_P(OverlayTest, TooManyLayers) {
  OverlaySpec spec = Spec(static_cast<int>(kMaxLayers) + 1);
  spec.scratch = dir_ / "scratch";
  EXPECT_EQ(MountOverlay(spec, dir_ / "target", GetParam()).code(), StatusCode::kInvalidArgument);
  spec.lowers.resize(kMaxLowers + 1);
  spec.scratch = "";
  EXPECT_EQ(MountOverlay(spec, dir_ / "target", GetParam()).code(), StatusCode::kInvalidArgument);
}

TEST_P(OverlayTest, PathsOfAnyShape) {
  const OverlaySpec spec = Spec(3, "a,b:c\\d " + std::string(200, 'n'));
  ASSERT_OK(MountOverlay(spec, dir_ / "target", GetParam()));
  EXPECT_EQ(Text(dir_ / "target/f2"), "x");
}

TEST_P(OverlayTest, DetachedReadOnlyMount) {
  OverlaySpec spec = Spec(2);
  spec.upper.clear();
  spec.work.clear();
  spec.options = {"ro", "nodev"};
  const std::string scratch = dir_ / "scratch";
  {
    auto root = OpenOverlay(spec, scratch, GetParam());
    ASSERT_TRUE(root.ok()) << Message(root.status());
    EXPECT_EQ(*ReadFileAt(root->get(), "same"), "0");
    EXPECT_EQ(*ReadFileAt(root->get(), "f1"), "x");
    EXPECT_EQ(OpenAt(root->get(), "same", O_WRONLY).status().code(), ErrnoStatus(EROFS, "").code());
    EXPECT_EQ(MountsBelow(dir_.path())->size(), 1U) << "no path leads to it";
  }
  EXPECT_TRUE(!PathExists(scratch) || ListDir(scratch)->empty());
  spec.lowers.resize(1);
  EXPECT_FALSE(OpenOverlay(spec, scratch, GetParam()).ok());
}

INSTANTIATE_TEST_SUITE_P(Api, OverlayTest, ::testing::Values(MountApi::kAuto, MountApi::kLegacy),
                         [](const auto& api) {
                           return api.param == MountApi::kAuto ? "Auto" : "Legacy";
                         });

}  // namespace
}  // namespace davit::storage
