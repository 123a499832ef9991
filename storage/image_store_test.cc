// SPDX-License-Identifier: Apache-2.0
#include "storage/image_store.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <atomic>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/failpoint.h"
#include "base/file.h"
#include "base/rooted_path.h"
#include "base/status.h"
#include "storage/test_util.h"

namespace davit::storage {
namespace {

using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

#define ASSERT_OK(expr)                           \
  do {                                            \
    const absl::Status ok_ = (expr);              \
    ASSERT_TRUE(ok_.ok()) << davit::Message(ok_); \
  } while (false)

class ImageStoreTest : public StoreTest {
 protected:
  void TearDown() override { EXPECT_TRUE(failpoint::Load("").ok()); }

  // Nothing if there is no such image.
  std::shared_ptr<const ImageRecord> Find(const std::string& name) {
    auto image = store_->FindImage(name);
    EXPECT_TRUE(image.ok()) << Message(image.status());
    return image.ok() && *image ? **image : nullptr;
  }
  std::string FileOf(const std::string& image, const std::string& path) {
    std::string text;
    const absl::Status status = store_->WithImageRoot(image, [&](int root) -> absl::Status {
      ASSIGN_OR_RETURN(text, ReadFileInRoot(root, path, 1000));
      return absl::OkStatus();
    });
    return status.ok() ? text : Message(status);
  }
};

std::string Tar(const std::string& name, const std::string& data) {
  return TarBuilder().File(name, data).Finish();
}

TEST_F(ImageStoreTest, LayerInfoAndDiffId) {
  // Padding after the end marker belongs to the diff ID.
  const std::string tar = Tar("a", "12345") + std::string(9000, '\0');
  for (const size_t portion : {1UL, 1000UL, 1000000UL}) {
    auto layer = Layer(tar, DiffId(tar), Digest::Sha256Of("blob"), portion);
    ASSERT_TRUE(layer.ok()) << Message(layer.status());
    EXPECT_EQ((*layer)->info().diff_id, DiffId(tar));
    EXPECT_EQ((*layer)->info().blob, Digest::Sha256Of("blob"));
    EXPECT_EQ((*layer)->info().size, 5U);
    EXPECT_EQ((*layer)->info().files, 1U);
    EXPECT_FALSE(store_->HasLayer(DiffId(tar))) << "not committed";
    EXPECT_THAT(LayerDirs(), SizeIs(1));
  }
  EXPECT_THAT(LayerDirs(), IsEmpty()) << "nobody took it";
}

TEST_F(ImageStoreTest, LargeLayerPassesThroughTheRing) {
  std::string data(9'000'001, 'x');
  for (size_t i = 0; i < data.size(); i += 97) {
    data[i] = static_cast<char>(i);
  }
  const std::string tar = TarBuilder().File("big", data).File("after", "z").Finish();
  ASSERT_OK(Image('a', {tar}, {}));
  EXPECT_TRUE(Text(paths().Diff(DiffId(tar)) + "/big") == data);
  EXPECT_EQ(Text(paths().Diff(DiffId(tar)) + "/after"), "z");
}

TEST_F(ImageStoreTest, WrongDiffIdIsDataLoss) {
  EXPECT_EQ(Layer(Tar("a", "1"), DiffId("other")).status().code(), StatusCode::kDataLoss);
  const std::string tar = Tar("a", std::string(5000, 'x'));
  const auto cut = Layer(tar.substr(0, 3000), DiffId(tar));
  EXPECT_EQ(cut.status().code(), StatusCode::kDataLoss) << Message(cut.status());
  EXPECT_THAT(LayerDirs(), IsEmpty());
}

TEST_F(ImageStoreTest, UnsupportedDiffIdAlgorithm) {
  const auto sha512 = Digest::Parse("sha512:" + std::string(128, 'a'));
  EXPECT_EQ(Layer(Tar("a", "1"), *sha512).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(ImageStoreTest, MissingEndMarker) {
  const std::string tar = TarBuilder().File("a", "1").unfinished();
  EXPECT_EQ(Layer(tar).status().code(), StatusCode::kDataLoss);
  EXPECT_TRUE(Layer(tar, DiffId(tar)).ok()) << "the diff ID proves that nothing is missing";
  EXPECT_TRUE(Layer("", DiffId("")).ok());
}

TEST_F(ImageStoreTest, HostileLayerEndsTheWriterAndLeavesNothing) {
  std::string tar = TarBuilder().File("ok", "1").File("../evil", "2").Finish();
  tar += std::string(20U << 20U, '\0');  // more than the ring holds: Write must not hang
  const auto layer = Layer(tar);
  EXPECT_EQ(layer.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(layer.status()), HasSubstr("'..'"));
  EXPECT_THAT(LayerDirs(), IsEmpty());
}

TEST_F(ImageStoreTest, AbandonedWriterLeavesNothing) {
  auto writer = store_->NewLayer();
  ASSERT_TRUE(writer.ok());
  const std::string part = Tar("a", std::string(5000, 'x')).substr(0, 2000);
  ASSERT_OK((*writer)->Write({reinterpret_cast<const uint8_t*>(part.data()), part.size()}));
  writer->reset();
  EXPECT_THAT(LayerDirs(), IsEmpty());
}

TEST_F(ImageStoreTest, CommitFindList) {
  const std::string base = Tar("base", "11");
  const std::string top = Tar("top", "222");
  ASSERT_OK(Image('a', {base, top}, {"docker.io/library/a:1", "docker.io/library/a:2"}));
  ASSERT_OK(Image('b', {base}, {"docker.io/library/b:1"}));
  EXPECT_THAT(LayerDirs(), SizeIs(2)) << "the base is shared";
  EXPECT_TRUE(store_->HasLayer(DiffId(base)));

  for (const bool reopened : {false, true}) {
    SCOPED_TRACE(reopened);
    const auto image = Find("docker.io/library/a:2");
    ASSERT_NE(image, nullptr);
    EXPECT_EQ(image->id, ImageId('a'));
    EXPECT_THAT(image->tags, ElementsAre("docker.io/library/a:1", "docker.io/library/a:2"));
    EXPECT_EQ(image->config_json, "{}");
    EXPECT_EQ(image->manifest_json, "{\"m\":1}");
    EXPECT_THAT(image->layers, ElementsAre(DiffId(base), DiffId(top)));
    EXPECT_EQ(image->size, 5U + 2U + 7U);
    EXPECT_GT(image->pulled_at_ns, 0);
    EXPECT_EQ(Find(ImageId('a')), image);
    EXPECT_EQ(Find("sha256:" + ImageId('a')), image);
    EXPECT_EQ(Find("aaa"), image);
    EXPECT_EQ(Find("aa"), nullptr) << "too short";
    EXPECT_EQ(Find("docker.io/library/c:1"), nullptr);
    EXPECT_EQ(Find(""), nullptr);
    EXPECT_THAT(store_->ListImages(), SizeIs(2));
    EXPECT_EQ(store_->ImageFsUsage().used_bytes, 5U);
    EXPECT_EQ(store_->ImageFsUsage().inodes_used, 2U);
    OpenStore();
  }
  EXPECT_THAT(LayerDirs(), SizeIs(2));
}

TEST_F(ImageStoreTest, AmbiguousPrefix) {
  ImageRecord image{.id = "abc1" + std::string(60, '0'),
                    .tags = {},
                    .digests = {},
                    .config_json = "{}",
                    .manifest_json = "{}",
                    .layers = {}};
  ASSERT_OK(store_->CommitImage(image, {}));
  image.id = "abc2" + std::string(60, '0');
  ASSERT_OK(store_->CommitImage(image, {}));
  EXPECT_EQ(store_->FindImage("abc").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Find("abc2")->id, image.id);
}

TEST_F(ImageStoreTest, MalformedRecordsAreRefused) {
  ImageRecord image{.id = "short",
                    .tags = {},
                    .digests = {},
                    .config_json = "{}",
                    .manifest_json = "{}",
                    .layers = {}};
  EXPECT_EQ(store_->CommitImage(image, {}).code(), StatusCode::kInvalidArgument);
  image.id = ImageId('a');
  image.tags = {""};
  EXPECT_EQ(store_->CommitImage(image, {}).code(), StatusCode::kInvalidArgument);
  image.tags = {};
  image.layers = {DiffId("missing")};
  EXPECT_EQ(store_->CommitImage(image, {}).code(), StatusCode::kFailedPrecondition);
  image.layers.clear();
  for (int i = 0; i < 501; ++i) {
    image.layers.push_back(DiffId(std::to_string(i)));
  }
  EXPECT_EQ(store_->CommitImage(image, {}).code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(store_->ListImages(), IsEmpty());
}

TEST_F(ImageStoreTest, BlobsFindTheirLayer) {
  const std::string tar = Tar("a", "1");
  const Digest gzip = Digest::Sha256Of("gzip");
  const Digest zstd = Digest::Sha256Of("zstd");
  ImageRecord image{.id = ImageId('a'),
                    .tags = {},
                    .digests = {},
                    .config_json = "{}",
                    .manifest_json = "{}",
                    .layers = {DiffId(tar)}};
  ASSERT_OK(store_->CommitImage(image, {*Layer(tar, DiffId(tar), gzip)}));
  image.id = ImageId('b');
  ASSERT_OK(store_->CommitImage(image, {*Layer(tar, DiffId(tar), zstd)}));
  OpenStore();
  for (const Digest& blob : {gzip, zstd}) {
    const auto info = store_->FindLayerByBlob(blob);
    ASSERT_TRUE(info.has_value());
    EXPECT_EQ(info->diff_id, DiffId(tar));
    EXPECT_EQ(info->blob, blob);
  }
  ASSERT_OK(store_->RemoveImage(ImageId('a')));
  EXPECT_TRUE(store_->FindLayerByBlob(gzip).has_value());
  ASSERT_OK(store_->RemoveImage(ImageId('b')));
  EXPECT_FALSE(store_->FindLayerByBlob(gzip).has_value());
}

TEST_F(ImageStoreTest, TagMovesAndTheOldImageStays) {
  const std::string tag = "docker.io/library/a:latest";
  ASSERT_OK(Image('a', {Tar("x", "old")}, {tag}));
  ASSERT_OK(Image('b', {Tar("x", "new")}, {tag}));
  for (const bool reopened : {false, true}) {
    SCOPED_TRACE(reopened);
    EXPECT_EQ(Find(tag)->id, ImageId('b'));
    ASSERT_NE(Find(ImageId('a')), nullptr);
    EXPECT_THAT(Find(ImageId('a'))->tags, IsEmpty());
    EXPECT_EQ(FileOf(ImageId('a'), "x"), "old");
    OpenStore();
  }
  ASSERT_OK(store_->RemoveImage(ImageId('a')));
  EXPECT_THAT(store_->ListImages(), SizeIs(1));
  EXPECT_THAT(LayerDirs(), SizeIs(1));
}

TEST_F(ImageStoreTest, NamesMergeAndGoOneByOne) {
  const std::string tar = Tar("x", "1");
  ImageRecord image{.id = ImageId('a'),
                    .tags = {"r/a:1"},
                    .digests = {"r/a@sha256:1"},
                    .config_json = "{}",
                    .manifest_json = "{}",
                    .layers = {DiffId(tar)}};
  ASSERT_OK(store_->CommitImage(image, {*Layer(tar)}));
  image.tags = {"r/a:2"};
  image.digests = {"r/a@sha256:2"};
  image.pinned = true;
  ASSERT_OK(store_->CommitImage(image, {}));
  EXPECT_THAT(Find(image.id)->tags, ElementsAre("r/a:1", "r/a:2"));
  EXPECT_THAT(Find(image.id)->digests, ElementsAre("r/a@sha256:1", "r/a@sha256:2"));
  EXPECT_TRUE(Find(image.id)->pinned);
  ASSERT_OK(store_->RemoveImageName("r/a@sha256:1"));
  ASSERT_OK(store_->RemoveImageName("r/a:1"));
  ASSERT_OK(store_->RemoveImageName("r/unknown:1"));
  OpenStore();
  EXPECT_THAT(Find(image.id)->tags, ElementsAre("r/a:2"));
  EXPECT_THAT(Find(image.id)->digests, ElementsAre("r/a@sha256:2"));
  EXPECT_EQ(Find("r/a:1"), nullptr);
  ASSERT_OK(store_->RemoveImageName("r/a:2"));
  EXPECT_EQ(Find(image.id), nullptr) << "with its last tag, though it had a digest";
  EXPECT_THAT(LayerDirs(), IsEmpty());
}

TEST_F(ImageStoreTest, ImageWithDigestsOnlyGoesWithTheLast) {
  ImageRecord image{.id = ImageId('a'),
                    .tags = {},
                    .digests = {"r/a@1", "r/b@1"},
                    .config_json = "{}",
                    .manifest_json = "{}",
                    .layers = {}};
  ASSERT_OK(store_->CommitImage(image, {}));
  ASSERT_OK(store_->RemoveImageName("r/a@1"));
  EXPECT_NE(Find(image.id), nullptr);
  ASSERT_OK(store_->RemoveImageName("r/b@1"));
  EXPECT_EQ(Find(image.id), nullptr);
}

TEST_F(ImageStoreTest, RemovalKeepsSharedLayersAndRefusesWhatIsInUse) {
  const std::string base = Tar("base", "1");
  const std::string tag = "docker.io/library/a:1";
  ASSERT_OK(Image('a', {base, Tar("a", "2")}, {tag}));
  ASSERT_OK(Image('b', {base, Tar("b", "3")}, {}));
  ASSERT_OK(store_->CreateRootfs("c1", ImageId('a')));
  for (const absl::Status& refused :
       {store_->RemoveImage(ImageId('a')), store_->RemoveImageName(tag)}) {
    EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(Message(refused), HasSubstr("c1"));
  }
  EXPECT_EQ(Find(tag)->id, ImageId('a'));
  ASSERT_OK(store_->RemoveRootfs("c1"));
  ASSERT_OK(store_->RemoveImage(ImageId('a')));
  ASSERT_OK(store_->RemoveImage(ImageId('a')));
  EXPECT_EQ(Find(tag), nullptr);
  EXPECT_THAT(LayerDirs(), SizeIs(2));
  EXPECT_EQ(FileOf(ImageId('b'), "base"), "1");
  OpenStore();
  EXPECT_THAT(store_->ListImages(), SizeIs(1));
}

TEST_F(ImageStoreTest, VanishedLayerFailsTheCommit) {
  const std::string base = Tar("base", "1");
  ASSERT_OK(Image('a', {base}, {}));
  ASSERT_TRUE(store_->HasLayer(DiffId(base)));
  ASSERT_OK(store_->RemoveImage(ImageId('a')));
  const ImageRecord image{.id = ImageId('b'),
                          .tags = {},
                          .digests = {},
                          .config_json = "{}",
                          .manifest_json = "{}",
                          .layers = {DiffId(base)}};
  EXPECT_EQ(store_->CommitImage(image, {}).code(), StatusCode::kFailedPrecondition);
}

TEST_F(ImageStoreTest, FailedCommitCanBeRetried) {
  const std::string tar = Tar("x", "1");
  ImageRecord image{.id = ImageId('a'),
                    .tags = {"r/a:1"},
                    .digests = {},
                    .config_json = "{}",
                    .manifest_json = "{}",
                    .layers = {DiffId(tar)}};
  auto layer = Layer(tar);
  ASSERT_TRUE(layer.ok());
  for (const char* point : {"before_sync", "after_sync", "after_rename"}) {
    ASSERT_OK(failpoint::Load(std::string("storage.commit_image.") + point + "=error"));
    EXPECT_EQ(store_->CommitImage(image, {*layer}).code(), StatusCode::kInternal) << point;
    EXPECT_FALSE(store_->HasLayer(DiffId(tar)));
    EXPECT_EQ(Find("r/a:1"), nullptr);
  }
  ASSERT_OK(failpoint::Load(""));
  ASSERT_OK(store_->CommitImage(image, {*layer}));
  layer->reset();
  EXPECT_EQ(FileOf("r/a:1", "x"), "1");
  EXPECT_THAT(LayerDirs(), SizeIs(1));
}

TEST_F(ImageStoreTest, ConcurrentCommitsOfTheSameLayer) {
  const std::string base = Tar("base", std::string(100'000, 'b'));
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const char digit = static_cast<char>('0' + i);
      if (!Image(digit, {base, Tar("own", std::string(1, digit))}, {"r/same:1"}).ok()) {
        ++failures;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(failures, 0);
  EXPECT_THAT(store_->ListImages(), SizeIs(8));
  EXPECT_THAT(LayerDirs(), SizeIs(9));
  int tagged = 0;
  for (const auto& image : store_->ListImages()) {
    tagged += static_cast<int>(image->tags.size());
    EXPECT_EQ(FileOf(image->id, "own"), image->id.substr(0, 1));
  }
  EXPECT_EQ(tagged, 1);
}

TEST_F(ImageStoreTest, RemovalAgainstCommits) {
  options_.sync = false;
  OpenStore();
  const std::string base = Tar("base", "b");
  std::atomic<bool> stop = false;
  std::thread remover([&] {
    while (!stop) {
      (void)store_->RemoveImage(ImageId('a'));
    }
  });
  int committed = 0;
  for (int i = 0; i < 60; ++i) {
    const absl::Status status = Image('a', {base}, {});
    committed += status.ok() ? 1 : 0;
    EXPECT_TRUE(status.ok() || status.code() == StatusCode::kFailedPrecondition) << Message(status);
  }
  stop = true;
  remover.join();
  EXPECT_GT(committed, 0);
  ASSERT_OK(Image('a', {base}, {}));
  EXPECT_EQ(FileOf(ImageId('a'), "base"), "b");
  EXPECT_THAT(LayerDirs(), SizeIs(1));
}

TEST_F(ImageStoreTest, WithImageRootShowsTheWholeImage) {
  ASSERT_OK(Image(
      'a',
      {TarBuilder().File("etc/passwd", "low").File("etc/gone", "x").File("dir/old", "y").Finish(),
       TarBuilder()
           .File("etc/passwd", "high")
           .File("etc/.wh.gone")
           .File("dir/.wh..wh..opq")
           .File("dir/new", "z")
           .Finish()},
      {}));
  EXPECT_EQ(FileOf(ImageId('a'), "/etc/passwd"), "high");
  EXPECT_THAT(FileOf(ImageId('a'), "/etc/gone"), HasSubstr("No such file"));
  EXPECT_THAT(FileOf(ImageId('a'), "/dir/old"), HasSubstr("No such file"));
  EXPECT_EQ(FileOf(ImageId('a'), "/dir/new"), "z");
  // One layer; one layer with a whiteout; none; the same layer twice; one that hides the others.
  const std::string low = Tar("low", "1");
  ASSERT_OK(Image('b', {low}, {}));
  ASSERT_OK(Image('c', {TarBuilder().File(".wh.x").File("f", "1").Finish()}, {}));
  ASSERT_OK(Image('d', {}, {}));
  ASSERT_OK(Image('e', {low, Tar("mid", "2"), low}, {}));
  ASSERT_OK(Image('f', {low, TarBuilder().File(".wh..wh..opq").File("only", "3").Finish()}, {}));
  EXPECT_EQ(FileOf(ImageId('b'), "low"), "1");
  EXPECT_THAT(FileOf(ImageId('c'), "x"), HasSubstr("No such file"));
  EXPECT_EQ(FileOf(ImageId('c'), "f"), "1");
  EXPECT_THAT(FileOf(ImageId('d'), "f"), HasSubstr("No such file"));
  EXPECT_EQ(FileOf(ImageId('e'), "low") + FileOf(ImageId('e'), "mid"), "12");
  EXPECT_THAT(FileOf(ImageId('f'), "low"), HasSubstr("No such file"));
  EXPECT_EQ(FileOf(ImageId('f'), "only"), "3");
  EXPECT_EQ(store_->WithImageRoot(ImageId('9'), [](int) { return absl::OkStatus(); }).code(),
            StatusCode::kNotFound);
}

TEST_F(ImageStoreTest, ImageRemovedWhileItIsRead) {
  ASSERT_OK(Image('a', {Tar("x", "1")}, {}));
  const absl::Status status =
      store_->WithImageRoot(ImageId('a'), [&](int) { return store_->RemoveImage(ImageId('a')); });
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
}

TEST_F(ImageStoreTest, FullDiskIsResourceExhaustedAndTheSpaceComesBack) {
  CloseStore();
  const std::string disk = dir_ / "small";
  ASSERT_OK(MakeDirs(disk));
  ASSERT_EQ(mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=4m"), 0);
  options_.root = disk + "/root";
  OpenStore();
  struct statvfs before = {};
  ASSERT_EQ(statvfs(disk.c_str(), &before), 0);
  const auto layer =
      Layer(TarBuilder().File("a", "1").File("big", std::string(8U << 20U, 'x')).Finish());
  EXPECT_EQ(layer.status().code(), StatusCode::kResourceExhausted) << Message(layer.status());
  struct statvfs after = {};
  ASSERT_EQ(statvfs(disk.c_str(), &after), 0);
  EXPECT_EQ(after.f_bfree, before.f_bfree);
  EXPECT_EQ(after.f_ffree, before.f_ffree);
  ASSERT_OK(Image('a', {Tar("small", "1")}, {}));
  EXPECT_EQ(FileOf(ImageId('a'), "small"), "1");
  CloseStore();
}

TEST_F(ImageStoreTest, LimitsOfTheOptions) {
  options_.max_layer_bytes = 100;
  options_.max_layer_files = 2;
  OpenStore();
  EXPECT_EQ(Layer(Tar("a", std::string(101, 'x'))).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(Layer(Tar("a/b/c", "")).status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(Layer(Tar("a/b", std::string(100, 'x'))).ok());
}

}  // namespace
}  // namespace davit::storage
