// SPDX-License-Identifier: Apache-2.0
#include "storage/check/check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "storage/test_util.h"

namespace davit::storage {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Collector : public CheckObserver {
 public:
  void Found(const CheckFinding& finding) override {
    texts.push_back(finding.object + ": " + finding.text);
  }
  std::vector<std::string> texts;
};

class CheckTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    tar_ = TarBuilder()
               .Dir("./")
               .Dir("bin", 0711)
               .Add({.name = "bin/tool", .data = "program", .mode = 04755})
               .Symlink("link", "bin/tool")
               .Hardlink("bin/same", "bin/tool")
               .File("bin/.wh.gone")
               .File("implied/file", "x")
               .Finish();
    ASSERT_TRUE(Image('a', {tar_}, {"r/a:1"}).ok());
    diff_ = paths().Diff(DiffId(tar_)) + "/";
  }

  std::vector<std::string> Run(const CheckOptions& options) {
    Context ctx;
    Collector collector;
    auto report = store_->Check(ctx, options, collector);
    EXPECT_TRUE(report.ok()) << report.status();
    if (report.ok()) {
      report_ = *report;
    }
    return collector.texts;
  }
  // The image under its own ID: Image() gives any, which a check finds.
  std::vector<std::string> Layers(const CheckOptions& options) {
    std::vector<std::string> texts = Run(options);
    std::erase_if(texts, [](const std::string& text) { return text.starts_with("image "); });
    return texts;
  }

  std::string tar_;
  std::string diff_;
  CheckReport report_;
};

TEST_F(CheckTest, AGoodLayerIsGood) {
  EXPECT_THAT(Layers({.full = true}), IsEmpty());
  EXPECT_EQ(report_.layers_by_content, 1U);
  EXPECT_EQ(report_.bytes, tar_.size());
}

TEST_F(CheckTest, FullFindsEveryKindOfDamage) {
  const std::map<std::string, std::function<void()>> damages = {
      {"other content", [&] { ASSERT_TRUE(WriteExisting(diff_ + "bin/tool", "PROGRAM").ok()); }},
      {"mode 0755 instead of 4755",
       [&] { ASSERT_EQ(chmod((diff_ + "bin/tool").c_str(), 0755), 0); }},
      {"mode 0755 instead of 0711", [&] { ASSERT_EQ(chmod((diff_ + "bin").c_str(), 0755), 0); }},
      {"has owner 7:7", [&] { ASSERT_EQ(lchown((diff_ + "link").c_str(), 7, 7), 0); }},
      {"'link' is missing", [&] { ASSERT_EQ(unlink((diff_ + "link").c_str()), 0); }},
      {"'extra' is not of this layer",
       [&] { ASSERT_TRUE(WriteFileAtomic(diff_ + "extra", "1").ok()); }},
      {"'bin/same' is no link to 'bin/tool'",
       [&] {
         ASSERT_EQ(unlink((diff_ + "bin/same").c_str()), 0);
         ASSERT_TRUE(WriteFileAtomic(diff_ + "bin/same", "program").ok());
       }},
      {"was modified",
       [&] {
         const timespec times[2] = {};
         ASSERT_EQ(utimensat(AT_FDCWD, (diff_ + "implied/file").c_str(), times, 0), 0);
       }},
  };
  for (const auto& [text, damage] : damages) {
    damage();
    EXPECT_THAT(Layers({.full = true}), Contains(HasSubstr(text)));
    // Repaired by fetching the layer anew.
    Layers({.full = true, .repair = true});
    ASSERT_TRUE(Image('a', {tar_}, {"r/a:1"}).ok());
    EXPECT_THAT(Layers({.full = true}), IsEmpty()) << text;
  }
}

TEST_F(CheckTest, ADamagedLayerIsFetchedAgainAndNothingElse) {
  const std::string good = TarBuilder().File("good", "1").Finish();
  ASSERT_TRUE(Image('b', {good, tar_}, {"r/b:1"}).ok());
  ASSERT_TRUE(store_->CreateRootfs("c1", ImageId('b')).ok());
  ASSERT_TRUE(store_->MountRootfs("c1", {}).ok());
  ASSERT_TRUE(WriteExisting(diff_ + "bin/tool", "PROGRAM").ok());
  EXPECT_THAT(Layers({.full = true, .repair = true}), SizeIs(1));

  EXPECT_FALSE(store_->HasLayer(DiffId(tar_)));
  EXPECT_TRUE(store_->HasLayer(DiffId(good)));
  EXPECT_FALSE(store_->FindImage("r/a:1")->has_value());
  EXPECT_TRUE(store_->FindImage("r/a:1", Damaged::kShown)->has_value());
  EXPECT_THAT(store_->ListImages(), IsEmpty());
  EXPECT_EQ(store_->CreateRootfs("c2", ImageId('a')).code(), absl::StatusCode::kNotFound);
  OpenStore();  // the mark is on disk
  EXPECT_FALSE(store_->HasLayer(DiffId(tar_)));

  ASSERT_TRUE(Image('b', {tar_}, {"r/b:1"}).ok()) << "without the good layer";
  EXPECT_THAT(store_->ListImages(), SizeIs(2));
  EXPECT_EQ(Text(paths().Rootfs("c1") + "/implied/file"), "x") << "the container goes on";
  EXPECT_THAT(Layers({.full = true}), IsEmpty());
  EXPECT_THAT(LayerDirs(), SizeIs(3)) << "the old one is mounted";

  ASSERT_TRUE(store_->RemoveRootfs("c1").ok());
  EXPECT_THAT(*store_->Strays(true), SizeIs(1));
  EXPECT_THAT(LayerDirs(), SizeIs(2));
}

TEST_F(CheckTest, ADamagedImageCanBeRemoved) {
  ASSERT_TRUE(RemoveTree(paths().Layer(DiffId(tar_))).ok());
  EXPECT_THAT(Layers({.repair = true}), ElementsAre(HasSubstr("is missing")));
  ASSERT_TRUE(store_->RemoveImage(ImageId('a')).ok());
  EXPECT_THAT(Run({.full = true}), IsEmpty());
}

TEST_F(CheckTest, QuickFindsStraysAndLostContainers) {
  ASSERT_TRUE(store_->CreateRootfs("c1", ImageId('a')).ok());
  ASSERT_TRUE(RemoveTree(paths().Container("c1")).ok());
  const std::string stray = paths().Layers() + "/" + std::string(64, 'd');
  ASSERT_TRUE(MakeDirs(stray + "/diff").ok());
  EXPECT_THAT(Layers({}), ElementsAre(HasSubstr("container c1"), HasSubstr(stray)));
  EXPECT_TRUE(PathExists(stray));
  Layers({.repair = true});
  store_->AwaitDeletions();
  EXPECT_FALSE(PathExists(stray));
  EXPECT_THAT(Layers({}), SizeIs(1)) << "the container's is not ours to repair";
}

TEST_F(CheckTest, WithoutARecipeThereIsNoFullCheck) {
  options_.recipes = false;
  OpenStore();
  const std::string tar = TarBuilder().File("f", "1").Finish();
  ASSERT_TRUE(Image('b', {tar}, {"r/b:1"}).ok());
  EXPECT_THAT(Layers({.full = true}), IsEmpty());
  EXPECT_EQ(report_.layers, 2U);
  EXPECT_EQ(report_.layers_by_content, 1U);
  EXPECT_EQ(store_->ReadLayer(DiffId(tar)).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(CheckTest, Ends) {
  Context ctx;
  ctx.Cancel();
  Collector collector;
  EXPECT_TRUE(absl::IsCancelled(store_->Check(ctx, {.full = true}, collector).status()));
}

}  // namespace
}  // namespace davit::storage
