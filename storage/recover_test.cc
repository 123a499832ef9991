// SPDX-License-Identifier: Apache-2.0
//
// What a killed daemon leaves, and that Open makes it good.
#include "storage/recover.h"

#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/failpoint.h"
#include "base/file.h"
#include "base/mount.h"
#include "base/status.h"
#include "storage/test_util.h"

namespace davit::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RecoverTest : public StoreTest {
 protected:
  // Runs `body` with a store in a child process that dies at the failpoint.
  template <typename Body>
  void DieAt(const std::string& point, Body body) {
    CloseStore();
    EXPECT_EXIT(
        {
          OpenStore();
          (void)failpoint::Load(point + "=crash");
          body();
          _exit(0);  // the failpoint was not hit
        },
        ::testing::KilledBySignal(SIGKILL), "")
        << point;
    OpenStore();
  }
};

using RecoverDeathTest = RecoverTest;

TEST_F(RecoverDeathTest, ImageIsWhollyThereOrNotAtAll) {
  const std::string kept = TarBuilder().File("kept", "1").Finish();
  const std::string lost = TarBuilder().File("lost", "2").Finish();
  ASSERT_TRUE(Image('a', {kept}, {"r/a:1"}).ok());
  for (const char* point : {"before_sync", "after_sync", "after_rename"}) {
    SCOPED_TRACE(point);
    DieAt(std::string("storage.commit_image.") + point, [&] {
      (void)Image('b', {kept, lost}, {"r/b:1", "r/a:1"});
    });
    EXPECT_THAT(store_->ListImages(), SizeIs(1));
    EXPECT_FALSE(store_->HasLayer(DiffId(lost)));
    EXPECT_THAT(LayerDirs(), ElementsAre(DiffId(kept).hex()));
    EXPECT_EQ((**store_->FindImage("r/a:1"))->id, ImageId('a'));
  }
  ASSERT_TRUE(Image('b', {kept, lost}, {"r/b:1"}).ok());
  EXPECT_THAT(LayerDirs(), SizeIs(2));
}

TEST_F(RecoverDeathTest, ARemovedImageIsGoneWithItsLayers) {
  for (const char* point : {"after_record", "after_rename"}) {
    SCOPED_TRACE(point);
    ASSERT_TRUE(Image('a', {TarBuilder().File("a", "1").Finish()}, {"r/a:1"}).ok());
    DieAt(std::string("storage.remove_image.") + point,
          [&] { (void)store_->RemoveImage(ImageId('a')); });
    EXPECT_THAT(store_->ListImages(), IsEmpty());
    EXPECT_THAT(LayerDirs(), IsEmpty());
  }
}

TEST_F(RecoverDeathTest, ADamagedLayerIsReplacedOrStaysDamaged) {
  const std::string tar = TarBuilder().File("a", "good").Finish();
  ASSERT_TRUE(Image('a', {tar}, {"r/a:1"}).ok());
  const std::string file = paths().Diff(DiffId(tar)) + "/a";
  ASSERT_TRUE(WriteExisting(file, "evil").ok());
  class : public CheckObserver {
    void Found(const CheckFinding& /*finding*/) override {}
  } nobody;
  Context ctx;
  ASSERT_TRUE(store_->Check(ctx, {.full = true, .repair = true}, nobody).ok());
  for (const char* point : {"before_sync", "after_sync", "after_move_away", "after_rename"}) {
    SCOPED_TRACE(point);
    DieAt(std::string("storage.commit_image.") + point,
          [&] { (void)Image('a', {tar}, {"r/a:1"}); });
    EXPECT_FALSE(store_->HasLayer(DiffId(tar)));
    EXPECT_THAT(store_->ListImages(), IsEmpty());
  }
  ASSERT_TRUE(Image('a', {tar}, {"r/a:1"}).ok());
  EXPECT_EQ(Text(file), "good");
  EXPECT_THAT(LayerDirs(), ElementsAre(DiffId(tar).hex()));
  EXPECT_EQ(store_->Check(ctx, {.full = true}, nobody)->layers_by_content, 1U);
}

TEST_F(RecoverDeathTest, RootfsWithoutRecordGoes) {
  ASSERT_TRUE(Image('a', {}, {}).ok());
  DieAt("storage.create_rootfs.after_dirs",
        [&] { (void)store_->CreateRootfs("c1", ImageId('a')); });
  EXPECT_THAT(store_->ListRootfs(), IsEmpty());
  EXPECT_FALSE(PathExists(paths().Container("c1")));
}

TEST_F(RecoverTest, HalfAppliedLayersGo) {
  const std::string stray = paths().Layers() + "/tmp-0123/diff/a";
  ASSERT_TRUE(MakeDirs(stray).ok());
  ASSERT_TRUE(MakeDirs(paths().Layers() + "/" + std::string(64, 'd') + "/diff").ok());
  ASSERT_TRUE(MakeDirs(paths().Layers() + "/lost+found").ok());
  OpenStore();
  EXPECT_THAT(LayerDirs(), ElementsAre("lost+found")) << "only what is ours";
}

TEST_F(RecoverTest, MountOfARootfsWithoutRecordGoes) {
  const std::string rootfs = paths().Rootfs("stray");
  ASSERT_TRUE(MakeDirs(rootfs).ok());
  ASSERT_TRUE(MakeDirs(paths().Upper("stray")).ok());
  ASSERT_TRUE(MountTmpfs(rootfs, 1U << 16U).ok());
  ASSERT_TRUE(MakeDirs(rootfs + "/in").ok());
  ASSERT_TRUE(MountTmpfs(rootfs + "/in", 1U << 16U).ok());
  OpenStore();
  EXPECT_THAT(*MountsBelow(dir_.path()), IsEmpty());
  EXPECT_FALSE(PathExists(paths().RunContainer("stray")));
  EXPECT_FALSE(PathExists(paths().Container("stray")));
}

TEST_F(RecoverTest, OtherFilesOfARunningContainerStay) {
  ASSERT_TRUE(Image('a', {}, {}).ok());
  ASSERT_TRUE(store_->CreateRootfs("c1", ImageId('a')).ok());
  ASSERT_TRUE(store_->MountRootfs("c1", {}).ok());
  ASSERT_TRUE(WriteFileAtomic(paths().RunContainer("c1") + "/pid", "1").ok());
  ASSERT_TRUE(WriteFileAtomic(paths().Rootfs("c1") + "/f", "kept").ok());
  OpenStore();  // the daemon is restarted, the container runs on
  EXPECT_EQ(Text(paths().Rootfs("c1") + "/f"), "kept");
  EXPECT_EQ(*store_->MountRootfs("c1", {}), paths().Rootfs("c1"));
  EXPECT_EQ(MountsBelow(dir_.path())->size(), 1U);
  ASSERT_TRUE(store_->RemoveRootfs("c1").ok());
  EXPECT_EQ(Text(paths().RunContainer("c1") + "/pid"), "1") << "the server's own";
}

TEST_F(RecoverTest, ImageWithALayerMissingOnDiskIsForgotten) {
  const std::string shared = TarBuilder().File("s", "1").Finish();
  const std::string deleted = TarBuilder().File("d", "2").Finish();
  ASSERT_TRUE(Image('a', {shared, deleted}, {"r/a:1"}).ok());
  ASSERT_TRUE(Image('b', {shared}, {"r/b:1"}).ok());
  ASSERT_TRUE(store_->CreateRootfs("c1", ImageId('a')).ok());
  ASSERT_TRUE(RemoveTree(paths().Layer(DiffId(deleted))).ok());
  OpenStore();
  EXPECT_THAT(store_->ListImages(), SizeIs(1));
  EXPECT_FALSE(store_->FindImage("r/a:1")->has_value());
  EXPECT_FALSE(store_->HasLayer(DiffId(deleted)));
  EXPECT_TRUE(store_->HasLayer(DiffId(shared)));
  EXPECT_EQ(store_->MountRootfs("c1", {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(store_->RemoveRootfs("c1").ok());
  EXPECT_TRUE(Image('a', {shared, deleted}, {"r/a:1"}).ok()) << "can be pulled again";
}

TEST_F(RecoverTest, DirectoriesAreNobodyElses) {
  for (const std::string& path :
       {paths().Layers(), paths().Containers(), paths().RunContainers()}) {
    EXPECT_EQ(StatOf(path).st_mode & 0777U, 0700U) << path;
  }
}

TEST_F(RecoverTest, RelativeRootIsRefused) {
  Options options = options_;
  options.root = "relative";
  EXPECT_EQ(Storage::Open(options, *db_).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace davit::storage
