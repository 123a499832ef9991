// SPDX-License-Identifier: Apache-2.0
#include "image/artifact/artifact_manifest.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/status.h"

namespace davit::image {
namespace {

using absl::StatusCode;
using Json = nlohmann::json;

Json Layer(const std::string& bytes, const Json& annotations = Json::object()) {
  return {{"mediaType", "application/octet-stream"},
          {"digest", Digest::Sha256Of(bytes).text()},
          {"size", bytes.size()},
          {"annotations", annotations}};
}

Json Titled(const std::string& title, const std::string& bytes = "x") {
  return Layer(bytes, {{"org.opencontainers.image.title", title}});
}

Json Manifest(const std::vector<Json>& layers) {
  return {{"schemaVersion", 2},
          {"artifactType", "application/vnd.example.model"},
          {"config",
           {{"mediaType", "application/vnd.oci.empty.v1+json"},
            {"digest", Digest::Sha256Of("{}").text()},
            {"size", 2}}},
          {"layers", layers}};
}

absl::StatusOr<Artifact> Parse(const Json& manifest, int max_files = 10) {
  return ParseArtifact(manifest.dump(), max_files);
}

TEST(ArtifactManifest, FilesByTheirTitles) {
  const auto artifact =
      Parse(Manifest({Titled("a.bin"), Titled("./models//deep/b.bin", "y"),
                      Layer("z", {{"org.cncf.model.filepath", "weights/c"}}),
                      Layer("w", {{"org.cnai.model.filepath", "d"}}), Layer("nameless")}));
  ASSERT_TRUE(artifact.ok()) << artifact.status();
  EXPECT_EQ(artifact->type, "application/vnd.example.model");
  ASSERT_EQ(artifact->files.size(), 5U);
  EXPECT_EQ(artifact->files[0].path, "a.bin");
  EXPECT_EQ(artifact->files[1].path, "models/deep/b.bin");
  EXPECT_EQ(artifact->files[2].path, "weights/c");
  EXPECT_EQ(artifact->files[3].path, "d");
  EXPECT_EQ(artifact->files[4].path, "sha256-" + Digest::Sha256Of("nameless").hex());
  EXPECT_FALSE(artifact->files[0].unpack);
}

TEST(ArtifactManifest, TypeIsTheConfigsWhereNoOtherIsGiven) {
  Json manifest = Manifest({Titled("a")});
  manifest.erase("artifactType");
  manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json";
  const auto artifact = Parse(manifest);
  ASSERT_TRUE(artifact.ok()) << artifact.status();
  EXPECT_EQ(artifact->type, "application/vnd.cncf.helm.config.v1+json");
}

TEST(ArtifactManifest, EmptyLayerIsNoFile) {
  Json empty = Layer("{}");
  empty["mediaType"] = "application/vnd.oci.empty.v1+json";
  const auto artifact = Parse(Manifest({empty}));
  ASSERT_TRUE(artifact.ok()) << artifact.status();
  EXPECT_TRUE(artifact->files.empty());
  EXPECT_TRUE(Parse(Manifest({})).ok());
}

TEST(ArtifactManifest, ArchivesAreUnpackedWhereTheAuthorSaysSo) {
  const Json unpack = {{"org.opencontainers.image.title", "dir"},
                       {"io.deis.oras.content.unpack", "true"}};
  const auto artifact = Parse(Manifest({Layer("tar", unpack), Titled("dir/extra")}));
  ASSERT_TRUE(artifact.ok()) << artifact.status();
  EXPECT_TRUE(artifact->files[0].unpack);
  EXPECT_FALSE(artifact->files[1].unpack);
}

TEST(ArtifactManifest, RefusesNamesThatLeaveTheTree) {
  const std::vector<std::string> titles = {"../escape",
                                           "a/../../b",
                                           "a/..",
                                           "/etc/passwd",
                                           ".",
                                           "./",
                                           "//x",
                                           "a\nb",
                                           ".wh.gone",
                                           "dir/.wh..wh..opq",
                                           std::string("nul\0byte", 8),
                                           std::string(256, 'a'),
                                           "x/" + std::string(1100, '/')};
  for (const std::string& title : titles) {
    const auto artifact = Parse(Manifest({Titled(title)}));
    EXPECT_EQ(artifact.status().code(), StatusCode::kInvalidArgument) << title;
    EXPECT_NE(Message(artifact.status()).find("file name"), std::string::npos)
        << Message(artifact.status());
  }
}

TEST(ArtifactManifest, RefusesTwoFilesInOnePlace) {
  EXPECT_EQ(Parse(Manifest({Titled("a", "1"), Titled("./a", "2")})).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Parse(Manifest({Titled("a/b", "1"), Titled("a", "2")})).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_TRUE(Parse(Manifest({Titled("a", "1"), Titled("a-b", "2"), Titled("a.b", "2")})).ok());
  const auto twice = Parse(Manifest({Titled("a", "1"), Titled("a", "1")}));
  ASSERT_TRUE(twice.ok()) << twice.status();
  EXPECT_EQ(twice->files.size(), 1U) << "the same file";
}

TEST(ArtifactManifest, RefusesWhatIsMalformed) {
  EXPECT_EQ(ParseArtifact("[]", 10).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseArtifact("{", 10).status().code(), StatusCode::kInvalidArgument);
  Json no_layers = Manifest({});
  no_layers["layers"] = Json::object();
  EXPECT_EQ(Parse(no_layers).status().code(), StatusCode::kInvalidArgument);
  Json no_config = Manifest({});
  no_config.erase("config");
  EXPECT_EQ(Parse(no_config).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Parse(Manifest({Titled("a"), Titled("b")}), 1).status().code(),
            StatusCode::kResourceExhausted);
  Json big = Manifest({});
  big["config"]["size"] = int64_t{1} << 40;
  EXPECT_EQ(Parse(big).status().code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace davit::image
