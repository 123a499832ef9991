// SPDX-License-Identifier: Apache-2.0
#include "storage/additional_stores.h"

#include <cstdio>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/mount.h"
#include "base/status.h"
#include "storage/test_util.h"

namespace davit::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A store that was filled elsewhere, with image 'a', and an empty one that reads it.
class AdditionalStoresTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    low_ = TarBuilder().Dir("./").File("low", "theirs").Finish();
    high_ = TarBuilder().File("high", "ours").Finish();
    ImageRecord image;
    image.id = ImageId('a');
    image.tags = {"r/a:1"};
    image.layers = {DiffId(low_)};
    ASSERT_TRUE(store_->CommitImage(image, {*Layer(low_, DiffId(low_), blob_)}).ok());
    CloseStore();
    shared_ = dir_ / "shared";
    ASSERT_EQ(rename(options_.root.c_str(), shared_.c_str()), 0);
    ASSERT_TRUE(BindMount(shared_, shared_, /*recursive=*/false, /*readonly=*/true).ok());
    options_.additional_stores = {shared_};
    OpenStore();
  }

  void Reopen(const std::vector<std::string>& additional) {
    CloseStore();
    options_.additional_stores = additional;
    OpenStore();
  }
  std::string IdOf(const std::string& name) {
    const auto found = store_->FindImage(name);
    return found.ok() && *found ? (**found)->id : "(none)";
  }
  // Image 'b', of a layer of theirs and one of ours.
  absl::Status CommitBoth() {
    ImageRecord image;
    image.id = ImageId('b');
    image.tags = {"r/b:1"};
    image.layers = {DiffId(low_), DiffId(high_)};
    return store_->CommitImage(image, {*Layer(high_, DiffId(high_))});
  }
  std::vector<std::string> Check() {
    struct : CheckObserver {
      void Found(const CheckFinding& finding) override {
        if (!finding.object.starts_with("image ")) {  // IDs are invented
          texts.push_back(finding.object + ": " + finding.text);
        }
      }
      std::vector<std::string> texts;
    } findings;
    Context ctx;
    EXPECT_TRUE(store_->Check(ctx, {.full = true, .repair = true}, findings).ok());
    return findings.texts;
  }

  const Digest blob_ = Digest::Sha256Of("compressed");
  std::string low_;
  std::string high_;
  std::string shared_;
};

TEST_F(AdditionalStoresTest, ImagesAreThereWithoutAPull) {
  EXPECT_THAT(store_->ListImages(), SizeIs(1));
  EXPECT_EQ(IdOf("r/a:1"), ImageId('a'));
  EXPECT_EQ((**store_->FindImage(ImageId('a')))->store, shared_);
  EXPECT_TRUE(store_->HasLayer(DiffId(low_)));
  EXPECT_EQ(store_->FindLayerByBlob(blob_)->diff_id, DiffId(low_));
  EXPECT_TRUE(store_->ReadLayer(DiffId(low_)).ok());
  ASSERT_TRUE(store_->CreateRootfs("c", ImageId('a')).ok());
  const auto root = store_->MountRootfs("c", {});
  ASSERT_TRUE(root.ok()) << Message(root.status());
  EXPECT_EQ(Text(*root + "/low"), "theirs");
  EXPECT_TRUE(store_->MountImageVolume("d", ImageId('a')).ok());
  EXPECT_TRUE(store_->ReleaseImageVolumes("d").ok());
  ASSERT_TRUE(store_->RemoveRootfs("c").ok());
  EXPECT_TRUE(store_->MeasureLayers().ok());
  EXPECT_EQ(store_->ImageFsUsage().used_bytes, 0U) << "not on our file system";
  EXPECT_THAT(Check(), IsEmpty());
  EXPECT_THAT(LayerDirs(), IsEmpty());
}

TEST_F(AdditionalStoresTest, NothingIsRemovedThere) {
  const absl::Status by_id = store_->RemoveImage(ImageId('a'));
  EXPECT_EQ(by_id.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(by_id), HasSubstr(shared_));
  EXPECT_EQ(store_->RemoveImageName("r/a:1").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(IdOf("r/a:1"), ImageId('a'));
}

TEST_F(AdditionalStoresTest, OurImagesMayHaveTheirLayers) {
  ASSERT_TRUE(CommitBoth().ok());
  EXPECT_THAT(LayerDirs(), ElementsAre(DiffId(high_).hex()));
  Reopen({shared_});
  ASSERT_TRUE(store_->CreateRootfs("c", ImageId('b')).ok());
  const auto root = store_->MountRootfs("c", {});
  ASSERT_TRUE(root.ok()) << Message(root.status());
  EXPECT_EQ(Text(*root + "/low") + Text(*root + "/high"), "theirsours");
  ASSERT_TRUE(store_->RemoveRootfs("c").ok());
  EXPECT_THAT(Check(), IsEmpty());
  ASSERT_TRUE(store_->RemoveImage(ImageId('b')).ok());
  store_->AwaitDeletions();
  EXPECT_THAT(LayerDirs(), IsEmpty());
  EXPECT_TRUE(store_->HasLayer(DiffId(low_)));
  Reopen({});
  EXPECT_FALSE(store_->HasLayer(DiffId(low_)));
  EXPECT_THAT(store_->ListImages(), IsEmpty());
}

TEST_F(AdditionalStoresTest, AStoreThatIsGoneIsMadeUpForByThePull) {
  ASSERT_TRUE(CommitBoth().ok());
  Reopen({dir_ / "nowhere"});
  EXPECT_EQ(IdOf("r/b:1"), "(none)");
  EXPECT_TRUE(store_->HasLayer(DiffId(high_)));
  Reopen({shared_});
  EXPECT_EQ(IdOf("r/b:1"), ImageId('b')) << "it is back";
  Reopen({});
  ASSERT_TRUE(Image('b', {low_, high_}, {"r/b:1"}).ok());
  EXPECT_EQ(IdOf("r/b:1"), ImageId('b'));
  EXPECT_THAT(LayerDirs(), SizeIs(2));
  EXPECT_THAT(Check(), IsEmpty());
}

TEST_F(AdditionalStoresTest, OursStandsBeforeTheirs) {
  ASSERT_TRUE(Image('c', {high_}, {"r/a:1"}).ok());
  EXPECT_EQ(IdOf("r/a:1"), ImageId('c'));
  EXPECT_THAT((**store_->FindImage(ImageId('a')))->tags, IsEmpty());
  Reopen({shared_});
  EXPECT_EQ(IdOf("r/a:1"), ImageId('c'));
  ASSERT_TRUE(store_->RemoveImage(ImageId('c')).ok());
  EXPECT_EQ(IdOf("r/a:1"), ImageId('a'));
  // The same image under another name.
  ImageRecord again = ***store_->FindImage(ImageId('a'));
  again.tags = {"r/own:1"};
  ASSERT_TRUE(store_->CommitImage(again, {}).ok());
  EXPECT_EQ((**store_->FindImage("r/own:1"))->store, "");
  EXPECT_EQ(IdOf("r/a:1"), ImageId('a'));
  EXPECT_EQ(store_->RemoveImageName("r/a:1").code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(store_->RemoveImageName("r/own:1").ok());
  EXPECT_EQ((**store_->FindImage("r/a:1"))->store, shared_);
}

}  // namespace
}  // namespace davit::storage
