// SPDX-License-Identifier: Apache-2.0
//
// Images into archives and back: our own, skopeo's and umoci's, and what nobody should send.
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "image/archive/load.h"
#include "image/archive/save.h"
#include "image/platform.h"
#include "image/test_util.h"
#include "storage/test_util.h"

namespace davit::image {
namespace {

using storage::TarBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Gives out a string in portions.
class StringSource : public storage::ByteSource {
 public:
  explicit StringSource(std::string bytes) : bytes_(std::move(bytes)) {}
  absl::StatusOr<std::span<const uint8_t>> Next() override {
    const size_t count = std::min<size_t>(bytes_.size() - at_, 7001);
    const std::span<const uint8_t> part(reinterpret_cast<const uint8_t*>(bytes_.data()) + at_,
                                        count);
    at_ += count;
    return part;
  }

 private:
  const std::string bytes_;
  size_t at_ = 0;
};

std::string ConfigJson(const std::vector<std::string>& layers) {
  std::string diff_ids;
  for (const std::string& tar : layers) {
    diff_ids += (diff_ids.empty() ? "\"" : ",\"") + Digest::Sha256Of(tar).text() + "\"";
  }
  return R"({"architecture":")" + Platform::Host().architecture +
         R"(","os":"linux","config":{"Cmd":["/bin/x"],"X-Unknown":1},"rootfs":{"type":"layers",)" +
         R"("diff_ids":[)" + diff_ids + "]}}";
}

class Archive : public storage::StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    low_ = TarBuilder()
               .Dir("./")
               .Dir("bin")
               .File("bin/tool", std::string(200'000, 't'))
               .Hardlink("bin/same", "bin/tool")
               .Add({.name = "x", .data = "y", .pax = {{"SCHILY.xattr.user.a", "1"}}})
               .Finish() +
           std::string(4096, '\0');
    high_ = TarBuilder().File("bin/.wh.tool").File("new", "file").File("new", "again").Finish();
    config_json_ = ConfigJson({low_, high_});
    id_ = Digest::Sha256Of(config_json_).hex();
  }

  // Commits the image of both layers under the names.
  void Commit(const std::vector<std::string>& tags) {
    storage::ImageRecord record;
    record.id = id_;
    record.tags = tags;
    record.config_json = config_json_;
    record.manifest_json = "{}";
    std::vector<std::shared_ptr<storage::PendingLayer>> layers;
    for (const std::string& tar : {low_, high_}) {
      layers.push_back(*Layer(tar, DiffId(tar)));
      record.layers.push_back(DiffId(tar));
    }
    ASSERT_TRUE(store_->CommitImage(record, layers).ok());
  }

  std::string Save(const std::vector<std::string>& names) {
    Context ctx;
    const auto image = **store_->FindImage(id_);
    std::string archive;
    const absl::Status status =
        SaveArchive(ctx, *store_, {{image, names}}, [&archive](std::span<const uint8_t> bytes) {
          archive.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
          return absl::OkStatus();
        });
    EXPECT_TRUE(status.ok()) << status;
    return archive;
  }

  absl::StatusOr<std::vector<LoadedImage>> Load(const std::string& archive,
                                                const LoadOptions& options = {}) {
    Context ctx;
    StringSource source(archive);
    return LoadArchive(ctx, *store_, config_, options, source, [] {});
  }

  // Loads, and says what went wrong; "" if nothing did.
  std::string Refused(const std::string& archive) {
    const auto result = Load(archive);
    EXPECT_THAT(LayerDirs(), IsEmpty());
    EXPECT_THAT(store_->ListImages(), IsEmpty());
    return result.ok() ? "" : std::string(result.status().message());
  }

  void Forget() {
    ASSERT_TRUE(store_->RemoveImage(id_).ok());
    ASSERT_THAT(LayerDirs(), IsEmpty());
  }

  std::string DockerArchive(const std::string& config_json, const std::string& layers) {
    return Tar(
        {{"c.json", config_json},
         {"manifest.json", R"([{"Config":"c.json","RepoTags":["a:1"],"Layers":)" + layers + "}]"}});
  }

  config::Image config_;
  std::string low_;
  std::string high_;
  std::string config_json_;
  std::string id_;
};

TEST_F(Archive, ComesBackTheSame) {
  Commit({"docker.io/library/a:1", "docker.io/library/a:2"});
  const std::string archive = Save({"docker.io/library/a:1", "docker.io/library/a:2"});
  Forget();
  for (const std::string& form : {archive, Gzip(archive), Zstd(archive)}) {
    const auto loaded = Load(form);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    ASSERT_THAT(*loaded, SizeIs(1));
    EXPECT_EQ((*loaded)[0].id, id_);
    EXPECT_THAT((*loaded)[0].names, ElementsAre("docker.io/library/a:1", "docker.io/library/a:2"));
    const auto image = **store_->FindImage("docker.io/library/a:2");
    EXPECT_EQ(image->config_json, config_json_);
    EXPECT_THAT(image->layers, ElementsAre(DiffId(low_), DiffId(high_)));
    EXPECT_EQ(Save({"docker.io/library/a:1", "docker.io/library/a:2"}), archive);
    Forget();
  }
}

TEST_F(Archive, WhatIsThereAlreadyIsNotAppliedAgain) {
  Commit({"docker.io/library/a:1"});
  const std::string archive = Save({"docker.io/library/b:1"});
  ASSERT_TRUE(Load(archive).ok());
  EXPECT_THAT(LayerDirs(), SizeIs(2));
  EXPECT_TRUE(store_->FindImage("docker.io/library/b:1")->has_value());
}

TEST_F(Archive, OfDockerWithLayersLast) {
  const auto build = [&](const std::string& first, const std::string& second) {
    return Tar({{"x/layer.tar", first},
                {"y/layer.tar", second},
                {"c.json", config_json_},
                {"manifest.json", R"([{"Config":"c.json","RepoTags":["a:1"],)"
                                  R"("Layers":["x/layer.tar","y/layer.tar"]}])"}});
  };
  const auto loaded = Load(build(Gzip(low_), high_));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)[0].id, id_);
  EXPECT_THAT((*loaded)[0].names, ElementsAre("docker.io/library/a:1"));
}

TEST_F(Archive, OfSkopeoAndUmoci) {
  if (std::system("command -v skopeo umoci > /dev/null") != 0) {
    GTEST_SKIP() << "needs skopeo and umoci";
  }
  Commit({"docker.io/library/a:1"});
  const std::string dir = dir_ / "foreign";
  ASSERT_TRUE(MakeDirs(dir).ok());
  ASSERT_TRUE(WriteFileAtomic(dir + "/ours.tar", Save({"docker.io/library/a:1"})).ok());
  Forget();
  const auto run = [&dir](const std::string& command) {
    return std::system(("cd " + dir + " && exec > log 2>&1 && " + command).c_str());
  };
  // They read ours, as either kind.
  const std::string skopeo = "skopeo copy --insecure-policy ";
  ASSERT_EQ(run(skopeo + "docker-archive:ours.tar docker-archive:again.tar:b:1"), 0)
      << storage::Text(dir + "/log");
  ASSERT_EQ(run(skopeo + "oci-archive:ours.tar oci:layout:1"), 0) << storage::Text(dir + "/log");
  ASSERT_EQ(run(skopeo + "oci-archive:ours.tar docker-archive:docker.tar:b:2"), 0)
      << storage::Text(dir + "/log");
  ASSERT_EQ(run(skopeo + "oci-archive:ours.tar oci-archive:oci.tar:docker.io/library/c:3"), 0)
      << storage::Text(dir + "/log");
  ASSERT_EQ(run("mkdir ours && tar xf ours.tar -C ours && umoci unpack --image ours:1 bundle"), 0)
      << storage::Text(dir + "/log");
  EXPECT_EQ(storage::Text(dir + "/bundle/rootfs/new"), "again");
  // We read theirs.
  for (const char* file : {"again.tar", "docker.tar", "oci.tar"}) {
    const auto loaded = Load(storage::Text(dir + "/" + file));
    ASSERT_TRUE(loaded.ok()) << file << loaded.status();
    EXPECT_EQ((*loaded)[0].id, id_) << file;
    Forget();
  }
  ASSERT_EQ(run("tar cf layout.tar -C layout ."), 0);
  const auto loaded =
      Load(storage::Text(dir + "/layout.tar"), {.repository = "d.example/e", .admit = {}});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_THAT((*loaded)[0].names, ElementsAre("d.example/e:1"));
  EXPECT_EQ((*loaded)[0].id, id_);
}

TEST_F(Archive, HostileOnesAreRefused) {
  const std::string good_layers = R"(["l.tar"])";
  EXPECT_THAT(
      Refused("no tar at all, but long enough to be looked at as one" + std::string(2000, 'x')),
      HasSubstr("malformed tar"));
  EXPECT_THAT(Refused(Tar({{"a", "b"}})), HasSubstr("no image archive"));
  EXPECT_THAT(Refused(TarBuilder().File("../../etc/passwd", "x").Finish()), HasSubstr(".."));
  EXPECT_THAT(Refused(TarBuilder().Symlink("a", "../../../etc/passwd").Finish()),
              HasSubstr("out of the archive"));
  EXPECT_THAT(Refused(Tar({{"blobs/sha256/" + std::string(64, 'a'), "{}"}})),
              HasSubstr("has digest"));
  EXPECT_THAT(Refused(Tar({{"blobs/sha256/../../x", "{}"}})), HasSubstr(".."));
  EXPECT_THAT(Refused(Tar({{"blobs/sha256/short", "{}"}})), HasSubstr("digest"));
  EXPECT_THAT(Refused(Tar({{"manifest.json", std::string(9U << 20U, '[')}})),
              HasSubstr("too large"));
  EXPECT_THAT(Refused(Tar({{"manifest.json", std::string(1000, '[')}})), HasSubstr("manifest"));
  EXPECT_THAT(Refused(DockerArchive(ConfigJson({low_}), "[]")), HasSubstr("lists 1 layers"));
  EXPECT_THAT(Refused(DockerArchive(ConfigJson({low_}), good_layers)), HasSubstr("lacks layer"));
  EXPECT_THAT(Refused(Tar({{"l.tar", high_},
                           {"c.json", ConfigJson({low_})},
                           {"manifest.json", R"([{"Config":"c.json","Layers":["l.tar"]}])"}})),
              HasSubstr("has diff ID"));
  const std::string evil = TarBuilder().File("../evil", "x").Finish();
  EXPECT_THAT(Refused(Tar({{"l.tar", evil},
                           {"c.json", ConfigJson({evil})},
                           {"manifest.json", R"([{"Config":"c.json","Layers":["l.tar"]}])"}})),
              HasSubstr("'..' in a name"));
  // A link to itself ends.
  EXPECT_THAT(Refused(TarBuilder().Symlink("index.json", "index.json").Finish()),
              HasSubstr("no image archive"));
}

TEST_F(Archive, CutShortAnywhereLeavesNothing) {
  Commit({"docker.io/library/a:1"});
  const std::string archive = Save({"docker.io/library/a:1"});
  Forget();
  for (size_t size = 600; size + 1024 < archive.size(); size += archive.size() / 23) {
    EXPECT_NE(Refused(archive.substr(0, size)), "") << size;
  }
}

TEST_F(Archive, OfAnotherPlatformIsRefused) {
  std::string other = ConfigJson({});
  other.replace(other.find(Platform::Host().architecture), Platform::Host().architecture.size(),
                "m68k");
  EXPECT_THAT(Refused(DockerArchive(other, "[]")), HasSubstr("m68k"));
}

// Pulled and loaded artifacts are the same: what is known of one is not taken from the other.
TEST_F(Archive, OfArtifacts) {
  const std::string large = Noise(3'000'000, 7);
  const std::string small = "[1]";
  const auto file = [](const std::string& bytes, const std::string& title) {
    return R"({"mediaType":"application/octet-stream","digest":")" +
           Digest::Sha256Of(bytes).text() + R"(","size":)" + std::to_string(bytes.size()) +
           R"(,"annotations":{"org.opencontainers.image.title":")" + title + R"("}})";
  };
  const std::string manifest =
      R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
      R"("artifactType":"application/vnd.example.model","config":{"mediaType":)"
      R"("application/vnd.oci.empty.v1+json","digest":")" +
      Digest::Sha256Of("{}").text() + R"(","size":2},"layers":[)" + file(large, "m/a.bin") + "," +
      file(large, "copy.bin") + "," + file(small, "conf.json") + "]}";
  const auto blob = [](const std::string& bytes) {
    return "blobs/sha256/" + Digest::Sha256Of(bytes).hex();
  };
  const std::string index = R"({"manifests":[{"digest":")" + Digest::Sha256Of(manifest).text() +
                            R"(","annotations":{"io.containerd.image.name":"r.example/m:1"}}]})";
  EXPECT_THAT(Refused(Tar({{blob(large), large},
                           {blob(small), small},
                           {blob(manifest), manifest},
                           {"index.json", index}})),
              HasSubstr("comes before the manifest"));
  const auto loaded = Load(Tar({{blob(small), small},
                                {blob(manifest), manifest},
                                {blob(large), large},
                                {"index.json", index}}));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const std::string id = Digest::Sha256Of(manifest).hex();
  EXPECT_EQ((*loaded)[0].id, id);
  const auto record = **store_->FindImage("r.example/m:1");
  EXPECT_EQ(record->artifact_type, "application/vnd.example.model");
  ASSERT_THAT(record->layers, SizeIs(3));
  EXPECT_TRUE(storage::Text(paths().Diff(record->layers[0]) + "/m/a.bin") == large);
  EXPECT_TRUE(storage::Text(paths().Diff(record->layers[1]) + "/copy.bin") == large);
  EXPECT_EQ(storage::Text(paths().Diff(record->layers[2]) + "/conf.json"), small);
  // Out and in again.
  Context ctx;
  std::string saved;
  const absl::Status status = SaveArchive(
      ctx, *store_, {{record, {"r.example/m:1"}}}, [&saved](std::span<const uint8_t> bytes) {
        saved.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return absl::OkStatus();
      });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(saved.find("manifest.json"), std::string::npos) << "docker-archives hold no artifacts";
  ASSERT_TRUE(store_->RemoveImage(id).ok());
  store_->AwaitDeletions();
  const auto again = Load(saved);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)[0].id, id);
  EXPECT_EQ((**store_->FindImage(id))->layers, record->layers);
}

TEST_F(Archive, OfADamagedLayerIsNotWritten) {
  Commit({"docker.io/library/a:1"});
  ASSERT_TRUE(WriteExisting(paths().Diff(DiffId(low_)) + "/bin/tool", "damage").ok());
  Context ctx;
  const absl::Status status = SaveArchive(ctx, *store_, {{**store_->FindImage(id_), {}}},
                                          [](auto) { return absl::OkStatus(); });
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("bin/tool"));
}

}  // namespace
}  // namespace davit::image
