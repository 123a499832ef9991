// SPDX-License-Identifier: Apache-2.0
#include "storage/volume_store.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/failpoint.h"
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

class VolumeStoreTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    if (store_) {
      ASSERT_OK(Image('a',
                      {TarBuilder().File("data/file", "low").File("data/gone", "x").Finish(),
                       TarBuilder().File("data/file", "high").File("data/.wh.gone").Finish()},
                      {"r.io/multi:1"}));
      ASSERT_OK(Image('b', {TarBuilder().File("one", "layer").Finish()}, {}));
      ASSERT_OK(Image('c', {}, {}));
    }
  }
  void TearDown() override { EXPECT_TRUE(failpoint::Load("").ok()); }

  std::string Mount(const std::string& container, char digit) {
    auto path = store_->MountImageVolume(container, ImageId(digit));
    EXPECT_TRUE(path.ok()) << Message(path.status());
    return path.value_or("(none)");
  }
  [[nodiscard]] size_t Mounts() const { return MountsBelow(options_.run)->size(); }
};

TEST_F(VolumeStoreTest, OneMountForAllThatUseTheImage) {
  const std::string path = Mount("c1", 'a');
  EXPECT_EQ(path, dir_ / "run/image-volumes/" + ImageId('a'));
  EXPECT_EQ(Mount("c2", 'a'), path);
  EXPECT_EQ(Mount("c1", 'a'), path) << "twice in one container";
  EXPECT_EQ(Mounts(), 1U);
  EXPECT_EQ(Text(path + "/data/file"), "high");
  EXPECT_EQ(Text(path + "/data/gone"), "(missing)");
  ASSERT_OK(store_->ReleaseImageVolumes("c1"));
  ASSERT_OK(store_->ReleaseImageVolumes("c1"));
  EXPECT_EQ(Text(path + "/data/file"), "high") << "the other still uses it";
  EXPECT_THAT(store_->ListImageVolumeUsers(), ElementsAre("c2"));
  ASSERT_OK(store_->ReleaseImageVolumes("c2"));
  EXPECT_EQ(Mounts(), 0U);
  EXPECT_FALSE(PathExists(path));
  EXPECT_THAT(store_->ListImageVolumeUsers(), IsEmpty());
}

TEST_F(VolumeStoreTest, AUserNamespaceHasAMountOfItsOwn) {
  const IdMappings mappings{.uids = {{.inside = 0, .outside = 200'000, .count = 1000}},
                            .gids = {{.inside = 0, .outside = 300'000, .count = 1000}}};
  const std::string plain = Mount("c1", 'a');
  const auto mapped = store_->MountImageVolume("c2", ImageId('a'), mappings);
  if (absl::IsFailedPrecondition(mapped.status())) {
    GTEST_SKIP() << mapped.status();
  }
  ASSERT_TRUE(mapped.ok()) << Message(mapped.status());
  EXPECT_EQ(*mapped, dir_ / "run/containers/c2/image-volumes/" + ImageId('a'));
  EXPECT_EQ(store_->MountImageVolume("c2", ImageId('a'), mappings).value_or(""), *mapped);
  EXPECT_EQ(Text(*mapped + "/data/file"), "high");
  struct stat st = {};
  ASSERT_EQ(stat((*mapped + "/data/file").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 200'000U);
  EXPECT_EQ(st.st_gid, 300'000U);
  ASSERT_EQ(stat((plain + "/data/file").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 0U);
  EXPECT_EQ(Mounts(), 2U);
  ASSERT_OK(store_->ReleaseImageVolumes("c1"));
  EXPECT_EQ(Text(*mapped + "/data/file"), "high");
  EXPECT_EQ(store_->RemoveImage(ImageId('a')).code(), StatusCode::kFailedPrecondition);
  ASSERT_OK(store_->ReleaseImageVolumes("c2"));
  EXPECT_EQ(Mounts(), 0U);
  EXPECT_FALSE(PathExists(*mapped));
}

TEST_F(VolumeStoreTest, IsReadOnlyWithoutSetIdAndDevices) {
  for (const char image : {'a', 'b'}) {
    struct statvfs fs = {};
    ASSERT_EQ(statvfs(Mount("c1", image).c_str(), &fs), 0);
    EXPECT_EQ(fs.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC),
              static_cast<unsigned long>(ST_RDONLY | ST_NOSUID | ST_NODEV));
  }
  EXPECT_EQ(WriteFileAtomic(Mount("c1", 'a') + "/new", "x").code(), StatusCode::kInternal);
  ASSERT_OK(store_->ReleaseImageVolumes("c1"));
}

TEST_F(VolumeStoreTest, OneLayerAndNone) {
  EXPECT_EQ(Text(Mount("c1", 'b') + "/one"), "layer");
  const std::string nothing = Mount("c1", 'c');
  EXPECT_THAT(*ListDir(nothing), IsEmpty());
  EXPECT_FALSE(WriteFileAtomic(nothing + "/new", "x").ok());
  EXPECT_TRUE(*IsMountPoint(nothing));
  ASSERT_OK(store_->ReleaseImageVolumes("c1"));
  EXPECT_EQ(Mounts(), 0U);
}

TEST_F(VolumeStoreTest, ImageInUseIsNotRemoved) {
  Mount("c1", 'a');
  for (const absl::Status& status :
       {store_->RemoveImage(ImageId('a')), store_->RemoveImageName("r.io/multi:1")}) {
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(Message(status), HasSubstr("container c1 uses it as a volume"));
  }
  OpenStore();
  EXPECT_EQ(store_->RemoveImage(ImageId('a')).code(), StatusCode::kFailedPrecondition)
      << "after a restart too";
  ASSERT_OK(store_->ReleaseImageVolumes("c1"));
  ASSERT_OK(store_->RemoveImage(ImageId('a')));
}

TEST_F(VolumeStoreTest, UnknownImage) {
  const auto path = store_->MountImageVolume("c1", ImageId('f'));
  EXPECT_EQ(path.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(Message(path.status()), HasSubstr("pull it first"));
  EXPECT_EQ(store_->MountImageVolume("../c1", ImageId('a')).status().code(),
            StatusCode::kInvalidArgument);
  ASSERT_OK(store_->ReleaseImageVolumes("c1"));
  EXPECT_THAT(store_->ListImageVolumeUsers(), IsEmpty());
}

TEST_F(VolumeStoreTest, MountSurvivesARestart) {
  const std::string path = Mount("c1", 'a');
  OpenStore();
  EXPECT_EQ(Text(path + "/data/file"), "high");
  EXPECT_EQ(Mount("c2", 'a'), path);
  EXPECT_EQ(Mounts(), 1U);
  ASSERT_OK(store_->ReleaseImageVolumes("c1"));
  ASSERT_OK(store_->ReleaseImageVolumes("c2"));
  EXPECT_EQ(Mounts(), 0U);
}

// After a reboot the row is there and the mount is not.
TEST_F(VolumeStoreTest, MountIsMadeAnewWhereItIsGone) {
  const std::string path = Mount("c1", 'a');
  CloseStore();
  ASSERT_EQ(umount2(path.c_str(), MNT_DETACH), 0);
  ASSERT_OK(RemoveTree(options_.run));
  OpenStore();
  EXPECT_EQ(Mount("c1", 'a'), path);
  EXPECT_EQ(Text(path + "/data/file"), "high");
  ASSERT_OK(store_->ReleaseImageVolumes("c1"));
}

TEST_F(VolumeStoreTest, MountWithoutAUserGoesAtTheStart) {
  const std::string path = Mount("c1", 'a');
  CloseStore();
  auto db = Db::Open(options_.root + "/davit.db");
  ASSERT_OK(db.status());
  ASSERT_OK((*db)->Write(Db::Sync::kNormal,
                         [](Transaction& tx) { return tx.Exec("DELETE FROM image_volumes"); }));
  db->reset();
  OpenStore();
  EXPECT_FALSE(PathExists(path));
  EXPECT_EQ(Mounts(), 0U);
}

TEST_F(VolumeStoreTest, FailureAtEachStepIsUndoneByTheRelease) {
  for (const char* step : {"storage.mount_image_volume.after_row=error",
                           "storage.mount_image_volume.after_mount=error"}) {
    ASSERT_OK(failpoint::Load(step));
    EXPECT_FALSE(store_->MountImageVolume("c1", ImageId('a')).ok()) << step;
    EXPECT_THAT(store_->ListImageVolumeUsers(), ElementsAre("c1")) << step;
    ASSERT_OK(failpoint::Load(""));
    ASSERT_OK(store_->ReleaseImageVolumes("c1"));
    EXPECT_EQ(Mounts(), 0U) << step;
  }
  Mount("c1", 'a');
  ASSERT_OK(failpoint::Load("storage.release_image_volume.after_unmount=error"));
  EXPECT_FALSE(store_->ReleaseImageVolumes("c1").ok());
  EXPECT_EQ(store_->RemoveImage(ImageId('a')).code(), StatusCode::kFailedPrecondition);
  ASSERT_OK(failpoint::Load(""));
  ASSERT_OK(store_->ReleaseImageVolumes("c1"));
  ASSERT_OK(store_->RemoveImage(ImageId('a')));
}

TEST_F(VolumeStoreTest, ManyAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this, i] {
      const std::string container = "c" + std::to_string(i);
      for (int round = 0; round < 20; ++round) {
        const auto path = store_->MountImageVolume(container, ImageId('a'));
        EXPECT_TRUE(path.ok()) << Message(path.status());
        EXPECT_EQ(Text(path.value_or("") + "/data/file"), "high");
        EXPECT_TRUE(store_->ReleaseImageVolumes(container).ok());
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(Mounts(), 0U);
  EXPECT_THAT(store_->ListImageVolumeUsers(), IsEmpty());
}

}  // namespace
}  // namespace davit::storage
