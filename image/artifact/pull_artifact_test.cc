// SPDX-License-Identifier: Apache-2.0
//
// OCI artifacts: pulled like images, one layer for each file.
#include <sys/stat.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "image/artifact/file_tar.h"
#include "image/pull_fixture.h"

namespace davit::image {
namespace {

using absl::StatusCode;
using Json = nlohmann::json;

struct File {
  std::string title;
  std::string bytes;
  bool unpack = false;
};

FakeImage MakeArtifact(const std::vector<File>& files, const std::string& config = "{}") {
  FakeImage artifact;
  artifact.config = config;
  Json layers = Json::array();
  for (const File& file : files) {
    artifact.layers.push_back({"application/octet-stream", file.bytes});
    Json layer = {{"mediaType", "application/octet-stream"},
                  {"digest", Digest::Sha256Of(file.bytes).text()},
                  {"size", file.bytes.size()},
                  {"annotations", {{"org.opencontainers.image.title", file.title}}}};
    if (file.unpack) {
      layer["annotations"]["io.deis.oras.content.unpack"] = "true";
    }
    layers.push_back(layer);
  }
  artifact.manifest = Json{
      {"schemaVersion", 2},
      {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
      {"artifactType", "application/vnd.example.model"},
      {"config",
       {{"mediaType", "application/vnd.oci.empty.v1+json"},
        {"digest", Digest::Sha256Of(config).text()},
        {"size", config.size()}}},
      {"layers", layers}}.dump();
  return artifact;
}

class PullArtifactTest : public PullFixture {
 protected:
  std::shared_ptr<const storage::ImageRecord> Record(const std::string& name) {
    const auto found = storage_->FindImage(name);
    return found.ok() && *found ? **found : nullptr;
  }
  size_t BlobRequests() {
    size_t count = 0;
    for (const std::string& request : registry_.TakeRequests()) {
      count += request.find("/blobs/") != std::string::npos ? 1 : 0;
    }
    return count;
  }
};

TEST_F(PullArtifactTest, OneLayerForEachFile) {
  const std::string noise = Noise(3'000'000, 7);
  const FakeImage artifact = MakeArtifact({{"model.bin", noise}, {"conf/deep/a.json", "{1}"}});
  registry_.Add("models/m", "1", artifact);
  const auto result = Pull(Name("/models/m:1"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->image_id, artifact.digest().hex()) << "empty configs are all alike";
  EXPECT_EQ(result->reference, Name("/models/m@") + artifact.digest().text());
  const auto record = Record(Name("/models/m:1"));
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->artifact_type, "application/vnd.example.model");
  EXPECT_EQ(record->manifest_json, artifact.manifest);
  EXPECT_EQ(record->config_json, "{}");
  ASSERT_EQ(record->layers.size(), 2U);
  EXPECT_EQ(LayerFile(record->layers[0], "model.bin"), noise);
  EXPECT_EQ(LayerFile(record->layers[1], "conf/deep/a.json"), "{1}");
  struct stat st = {};
  const std::string diff = dir_.path() + "/root/layers/" + record->layers[1].hex() + "/diff/";
  ASSERT_EQ(stat((diff + "conf/deep/a.json").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0644U);
  ASSERT_EQ(stat((diff + "conf").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0755U);
  EXPECT_GE(record->size, noise.size() + 3);
}

TEST_F(PullArtifactTest, WhatIsHereIsNotFetched) {
  registry_.Add("m", "1", MakeArtifact({{"a", "one"}, {"b", "two"}}));
  registry_.Add("m", "2", MakeArtifact({{"a", "one"}, {"c", "two"}}));
  ASSERT_TRUE(Pull(Name("/m:1")).ok());
  registry_.TakeRequests();
  const auto again = Pull(Name("/m:1"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->already_present);
  EXPECT_EQ(registry_.TakeRequests(), (std::vector<std::string>{"HEAD /v2/m/manifests/1"}));
  ASSERT_TRUE(Pull(Name("/m:2")).ok());
  EXPECT_EQ(BlobRequests(), 1U) << "the same bytes under another name are another file";
  EXPECT_EQ(LayerFile(Record(Name("/m:2"))->layers[1], "c"), "two");
}

TEST_F(PullArtifactTest, ArchiveOfADirectory) {
  registry_.Add("m", "1",
                MakeArtifact({{"dir", Gzip(Tar({{"dir/a", "1"}, {"dir/sub/b", "2"}})), true},
                              {"plain.tar", Tar({{"inside", "x"}})}}));
  ASSERT_TRUE(Pull(Name("/m:1")).ok());
  const auto record = Record(Name("/m:1"));
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(LayerFile(record->layers[0], "dir/sub/b"), "2");
  EXPECT_EQ(LayerFile(record->layers[1], "plain.tar"), Tar({{"inside", "x"}}))
      << "without the author's word a tar is a file";
}

TEST_F(PullArtifactTest, HasNothing) {
  registry_.Add("m", "1", MakeArtifact({}));
  const auto result = Pull(Name("/m:1"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(Record(Name("/m:1"))->layers.empty());
}

TEST_F(PullArtifactTest, EmptyFileAndUncommonNames) {
  const std::string name = "d/" + std::string(250, 'n');
  const std::string accents = "mod\xc3\xa8le \xe6\xa8\xa1.bin";
  registry_.Add("m", "1", MakeArtifact({{"empty", ""}, {name, "x"}, {accents, "y"}}));
  const auto result = Pull(Name("/m:1"));
  ASSERT_TRUE(result.ok()) << result.status();
  const auto record = Record(Name("/m:1"));
  EXPECT_EQ(LayerFile(record->layers[0], "empty"), "");
  EXPECT_EQ(LayerFile(record->layers[1], name), "x");
  EXPECT_EQ(LayerFile(record->layers[2], accents), "y");
}

TEST_F(PullArtifactTest, ConfigIsKept) {
  registry_.Add("m", "1", MakeArtifact({{"a", "1"}}, R"({"parameters":7})"));
  ASSERT_TRUE(Pull(Name("/m:1")).ok());
  EXPECT_EQ(Record(Name("/m:1"))->config_json, R"({"parameters":7})");
}

TEST_F(PullArtifactTest, TwoNamesAndRemoval) {
  const FakeImage artifact = MakeArtifact({{"a", "1"}});
  registry_.Add("m", "1", artifact);
  registry_.Add("m", "latest", artifact);
  ASSERT_TRUE(Pull(Name("/m:1")).ok());
  const auto second = Pull(Name("/m:latest"));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_TRUE(second->already_present);
  EXPECT_EQ(Record(second->image_id)->tags.size(), 2U);
  ASSERT_TRUE(storage_->RemoveImage(second->image_id).ok());
  ExpectNothingLeft();
}

TEST_F(PullArtifactTest, PinnedByName) {
  config_.pinned = {"*/pinned/*"};
  MakePuller();
  registry_.Add("pinned/m", "1", MakeArtifact({{"a", "1"}}));
  ASSERT_TRUE(Pull(Name("/pinned/m:1")).ok());
  EXPECT_TRUE(Record(Name("/pinned/m:1"))->pinned);
}

TEST_F(PullArtifactTest, WrongBytesLeaveNothing) {
  registry_.Add("m", "1", MakeArtifact({{"a", "good bytes"}, {"b", "fine"}}));
  registry_.Inject(
      "/blobs/" + Digest::Sha256Of("good bytes").text(), 100,
      [](const FakeRequest&, FakeResponse& response) { response.body = "evil bytes"; });
  ExpectFailure(Pull(Name("/m:1")), StatusCode::kDataLoss, {"file a", "has digest"});
  ExpectNothingLeft();
  ExpectGoodPullWorks();
}

TEST_F(PullArtifactTest, BrokenTransferGoesOn) {
  const std::string noise = Noise(400'000, 9);
  registry_.Add("m", "1", MakeArtifact({{"a", noise}}));
  registry_.Inject("/blobs/", 1, [](const FakeRequest&, FakeResponse& response) {
    response.cut_after = 150'000;
  });
  const auto result = Pull(Name("/m:1"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(LayerFile(Record(Name("/m:1"))->layers[0], "a"), noise);
}

TEST_F(PullArtifactTest, HostileNamesAreRefusedBeforeAnythingIsFetched) {
  registry_.Add("m", "1", MakeArtifact({{"../../etc/cron.d/x", "evil"}}));
  ExpectFailure(Pull(Name("/m:1")), StatusCode::kInvalidArgument, {"../../etc/cron.d/x"});
  EXPECT_EQ(BlobRequests(), 0U);
  ExpectNothingLeft();
}

TEST_F(PullArtifactTest, HostileArchiveIsContained) {
  registry_.Add("m", "1", MakeArtifact({{"dir", Tar({{"../../escape", "evil"}}), true}}));
  ExpectFailure(Pull(Name("/m:1")), StatusCode::kInvalidArgument, {".."});
  ExpectNothingLeft();
}

TEST(FileTar, SameBytesGiveTheSameTar) {
  std::string tars[2];
  for (std::string& tar : tars) {
    FileTar writer([&tar](std::span<const uint8_t> bytes) {
      tar.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return absl::OkStatus();
    });
    ASSERT_TRUE(writer.Begin("a/b", 3).ok());
    const uint8_t bytes[] = {'x', 'y', 'z'};
    ASSERT_TRUE(writer.Write(std::span(bytes).first(1)).ok());
    ASSERT_TRUE(writer.Write(std::span(bytes).subspan(1)).ok());
    EXPECT_EQ(writer.Write(std::span(bytes)).code(), StatusCode::kDataLoss);
    ASSERT_TRUE(writer.Finish().ok());
  }
  EXPECT_EQ(tars[0], tars[1]);
  EXPECT_EQ(tars[0].size() % 512, 0U);
}

TEST(FileTar, TellsOfMissingBytesAndOfTheSinksError) {
  FileTar missing([](std::span<const uint8_t>) { return absl::OkStatus(); });
  ASSERT_TRUE(missing.Begin("a", 3).ok());
  EXPECT_EQ(missing.Finish().code(), StatusCode::kDataLoss);
  FileTar full([](std::span<const uint8_t>) { return absl::ResourceExhaustedError("full"); });
  const absl::Status begun = full.Begin("a", 0);
  EXPECT_EQ((begun.ok() ? full.Finish() : begun).code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace davit::image
