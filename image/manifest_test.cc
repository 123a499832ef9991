// SPDX-License-Identifier: Apache-2.0
#include "image/manifest.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "image/image_config.h"

namespace davit::image {
namespace {

constexpr const char* kOciIndex = "application/vnd.oci.image.index.v1+json";
constexpr const char* kOciManifest = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kDockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr const char* kLayer = "application/vnd.oci.image.layer.v1.tar+gzip";
constexpr const char* kConfig = "application/vnd.oci.image.config.v1+json";

const Platform kAmd64 = {.os = "linux", .architecture = "amd64", .level = 3};

std::string DigestText(char c) {
  return "sha256:" + std::string(64, c);
}

std::string Descriptor1(const std::string& type, char digit, const std::string& more = "") {
  return fmt::format(R"({{"mediaType": "{}", "digest": "{}", "size": 10{}}})", type,
                     DigestText(digit), more);
}

std::string Entry(char digit, const std::string& platform) {
  return Descriptor1(kOciManifest, digit, platform.empty() ? "" : ", \"platform\": " + platform);
}

std::string Index(const std::string& entries) {
  return R"({"schemaVersion": 2, "manifests": [)" + entries + "]}";
}

std::string ManifestOf(const std::string& config, const std::string& layers) {
  return R"({"schemaVersion": 2, "config": )" + config + R"(, "layers": [)" + layers + "]}";
}

absl::StatusCode CodeOf(const std::string& json, const std::string& type = "") {
  return KindOf(json, type).status().code();
}

TEST(KindTest, ComesFromTheDocumentElseFromTheHeader) {
  EXPECT_EQ(*KindOf(R"({"mediaType": "application/vnd.oci.image.index.v1+json"})", ""),
            DocumentKind::kIndex);
  EXPECT_EQ(*KindOf("{}", kDockerList), DocumentKind::kIndex);
  EXPECT_EQ(*KindOf("{}", "application/vnd.oci.image.manifest.v1+json; charset=utf-8"),
            DocumentKind::kManifest);
  EXPECT_EQ(*KindOf(R"({"layers": []})", "application/json"), DocumentKind::kManifest);
  EXPECT_EQ(*KindOf(R"({"manifests": []})", "text/plain"), DocumentKind::kIndex);
}

TEST(KindTest, RefusesWhatIsNoImage) {
  for (const char* garbage :
       {"", "{", "null", "[]", "7", "\"x\"", "\xff\xfe", "{\"a\":}", "<html>"}) {
    EXPECT_EQ(CodeOf(garbage), absl::StatusCode::kInvalidArgument) << garbage;
  }
  EXPECT_EQ(CodeOf(std::string(100000, '[')), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf("{\"a\":" + std::string(100000, '{')), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(std::string(5U << 20U, ' ')), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(R"({"schemaVersion": 1, "fsLayers": []})"),
            absl::StatusCode::kFailedPrecondition);
  const auto unknown = KindOf(R"({"mediaType": "application/vnd.cncf.helm.chart"})", "");
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(std::string(unknown.status().message()).find("helm.chart"), std::string::npos);
  EXPECT_EQ(CodeOf("{}", "text/html"), absl::StatusCode::kFailedPrecondition);
}

TEST(KindTest, RefusesWhatCanBeReadTwoWays) {
  EXPECT_EQ(CodeOf(R"({"manifests": [], "layers": []})", kOciIndex),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(R"({"mediaType": "application/vnd.oci.image.index.v1+json"})", kOciManifest),
            absl::StatusCode::kInvalidArgument);
}

TEST(KindTest, ConfigTellsArtifactsFromImages) {
  const auto kind = [](const std::string& config, const std::string& more) {
    return KindOf(fmt::format(R"({{"schemaVersion": 2, "mediaType": "{}", {}
                                  "config": {{"mediaType": "{}"}}, "layers": []}})",
                              kOciManifest, more, config),
                  "");
  };
  const std::string image = "application/vnd.oci.image.config.v1+json";
  const std::string docker_1_10 = "application/octet-stream";
  const std::string of_artifact = R"("artifactType": "x/y",)";
  EXPECT_EQ(*kind(image, ""), DocumentKind::kManifest);
  EXPECT_EQ(*kind(image, of_artifact), DocumentKind::kManifest);
  EXPECT_EQ(*kind(docker_1_10, ""), DocumentKind::kManifest);
  EXPECT_EQ(*kind(docker_1_10, of_artifact), DocumentKind::kArtifact);
  EXPECT_EQ(*kind("application/vnd.oci.empty.v1+json", of_artifact), DocumentKind::kArtifact);
  EXPECT_EQ(*kind("application/vnd.cncf.helm.config.v1+json", ""), DocumentKind::kArtifact);
}

TEST(IndexTest, ChoosesThePlatform) {
  const std::string index =
      Index(Entry('1', R"({"os": "linux", "architecture": "arm64", "variant": "v8"})") + "," +
            Entry('2', R"({"os": "windows", "architecture": "amd64"})") + "," +
            Entry('3', R"({"os": "linux", "architecture": "amd64"})") + "," +
            Entry('4', R"({"os": "unknown", "architecture": "unknown"})"));
  EXPECT_EQ(ChooseFromIndex(index, kAmd64)->digest.text(), DigestText('3'));
  const Platform arm = {.os = "linux", .architecture = "arm64", .level = 8};
  EXPECT_EQ(ChooseFromIndex(index, arm)->digest.text(), DigestText('1'));
  const Platform riscv = {.os = "linux", .architecture = "riscv64"};
  const auto missing = ChooseFromIndex(index, riscv);
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(std::string(missing.status().message()),
            "image index has no manifest for linux/riscv64, it has: linux/amd64, linux/arm64/v8, "
            "windows/amd64");
}

TEST(IndexTest, ChoosesTheBestVariantThatRuns) {
  const std::string index =
      Index(Entry('1', R"({"os": "linux", "architecture": "amd64"})") + "," +
            Entry('4', R"({"os": "linux", "architecture": "amd64", "variant": "v4"})") + "," +
            Entry('2', R"({"os": "linux", "architecture": "amd64", "variant": "v2"})"));
  EXPECT_EQ(ChooseFromIndex(index, kAmd64)->digest.text(), DigestText('2'));
  const Platform old = {.os = "linux", .architecture = "amd64", .level = 1};
  EXPECT_EQ(ChooseFromIndex(index, old)->digest.text(), DigestText('1'));
}

TEST(IndexTest, EntryWithoutPlatformIsTheLastChoice) {
  const std::string both =
      Index(Entry('1', "") + "," + Entry('2', R"({"os": "linux", "architecture": "amd64"})"));
  EXPECT_EQ(ChooseFromIndex(both, kAmd64)->digest.text(), DigestText('2'));
  EXPECT_EQ(ChooseFromIndex(Index(Entry('1', "")), kAmd64)->digest.text(), DigestText('1'));
}

TEST(IndexTest, SurvivesNullsAndWrongTypes) {
  for (const char* index :
       {R"({"manifests": null})", R"({"manifests": {}})", R"({"manifests": "x"})",
        R"({"manifests": []})", R"({"manifests": [null, 7, "x", [], {}]})",
        R"({"manifests": [{"platform": null}]})", R"({"manifests": [{"platform": {"os": 7}}]})"}) {
    EXPECT_FALSE(ChooseFromIndex(index, kAmd64).ok()) << index;
  }
  const auto bad = ChooseFromIndex(
      Index(R"({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:../x",
             "size": 1, "platform": {"os": "linux", "architecture": "amd64"}})"),
      kAmd64);
  EXPECT_EQ(bad.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ManifestTest, ReadsConfigAndLayers) {
  const auto manifest = ParseManifest(
      ManifestOf(Descriptor1(kConfig, 'c'),
                 Descriptor1(kLayer, '1') + "," +
                     Descriptor1("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", '2',
                                 R"(, "urls": ["https://u.example/x", 7, null])")),
      10);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->config.digest.text(), DigestText('c'));
  ASSERT_EQ(manifest->layers.size(), 2U);
  EXPECT_FALSE(manifest->layers[0].foreign);
  EXPECT_EQ(manifest->layers[0].blob.size, 10U);
  EXPECT_TRUE(manifest->layers[1].foreign);
  EXPECT_EQ(manifest->layers[1].blob.urls, std::vector<std::string>{"https://u.example/x"});
}

struct BadManifest {
  std::string json;
  absl::StatusCode code;
  std::string says;
};

TEST(ManifestTest, RefusesWhatIsWrong) {
  const std::string config = Descriptor1(kConfig, 'c');
  const std::string layer = Descriptor1(kLayer, '1');
  const auto invalid = absl::StatusCode::kInvalidArgument;
  const auto precondition = absl::StatusCode::kFailedPrecondition;
  const BadManifest table[] = {
      {"{}", invalid, "config"},
      {R"({"config": null, "layers": null})", invalid, "config"},
      {R"({"config": [], "layers": []})", invalid, "config"},
      {ManifestOf(config, ""), invalid, "no layers"},
      {R"({"config": )" + config + R"(, "layers": {}})", invalid, "no layers"},
      {ManifestOf(config, "null"), invalid, "layer 0"},
      {ManifestOf(config, "7"), invalid, "layer 0"},
      {ManifestOf(config, R"({"mediaType": "x"})"), invalid, "layer 0"},
      {ManifestOf(config, layer + R"(, {"digest": 7})"), invalid, "layer 1"},
      {ManifestOf(Descriptor1("application/vnd.oci.empty.v1+json", 'c'), layer), precondition,
       "oci.empty"},
      {ManifestOf(config, Descriptor1("application/vnd.oci.image.layer.v1.tar+encrypted", '1')),
       precondition, "tar+encrypted"},
      {ManifestOf(config, R"({"mediaType": ")" + std::string(kLayer) +
                              R"(", "digest": "sha256:0", "size": 1})"),
       invalid, "sha256:0"},
      {ManifestOf(config, R"({"mediaType": ")" + std::string(kLayer) + R"(", "digest": ")" +
                              DigestText('1') + R"(", "size": -1})"),
       invalid, "size"},
      {ManifestOf(config, R"({"mediaType": ")" + std::string(kLayer) + R"(", "digest": ")" +
                              DigestText('1') + R"(", "size": 1e300})"),
       invalid, "size"},
      {ManifestOf(config, layer + "," + layer + "," + layer), absl::StatusCode::kResourceExhausted,
       "max_layers"},
      {ManifestOf(R"({"mediaType": ")" + std::string(kConfig) + R"(", "digest": ")" +
                      DigestText('1') + R"(", "size": 99999999})",
                  layer),
       absl::StatusCode::kResourceExhausted, "config"},
  };
  for (const BadManifest& bad : table) {
    const auto manifest = ParseManifest(bad.json, 2);
    ASSERT_FALSE(manifest.ok()) << bad.json;
    EXPECT_EQ(manifest.status().code(), bad.code) << bad.json << manifest.status();
    EXPECT_NE(std::string(manifest.status().message()).find(bad.says), std::string::npos)
        << manifest.status();
  }
}

TEST(PlatformTest, MachinesAndTheirVariants) {
  EXPECT_EQ(Platform::Of("x86_64", 4).level, 4);
  EXPECT_EQ(Platform::Of("aarch64", 1).text(), "linux/arm64");
  EXPECT_EQ(Platform::Of("armv5tel", 1).level, 5);
  EXPECT_EQ(Platform::Of("armv8l", 1).level, 8);
  const Platform armv6 = Platform::Of("armv6l", 1);
  EXPECT_EQ(armv6.text(), "linux/arm");
  EXPECT_GT(armv6.Fit("linux", "arm", "v6"), armv6.Fit("linux", "arm", "v5"));
  EXPECT_GT(armv6.Fit("linux", "arm", "v5"), 0);
  EXPECT_EQ(armv6.Fit("linux", "arm", "v7"), 0);
  EXPECT_EQ(armv6.Fit("linux", "arm", ""), 0) << "stands for v7";
  const Platform v3 = Platform::Of("x86_64", 3);
  EXPECT_GT(v3.Fit("linux", "amd64", "v3"), v3.Fit("linux", "amd64", "v2"));
  EXPECT_GT(v3.Fit("linux", "amd64", ""), 0);
  EXPECT_EQ(v3.Fit("linux", "amd64", "v4"), 0);
  EXPECT_EQ(Platform::Of("loongarch64", 1).text(), "linux/loongarch64");
}

TEST(PlatformTest, HostIsKnown) {
  const Platform host = Platform::Host();
  EXPECT_EQ(host.os, "linux");
  EXPECT_FALSE(host.architecture.empty());
  EXPECT_GT(host.Fit("linux", host.architecture, ""), 0);
  EXPECT_EQ(host.Fit("windows", host.architecture, ""), 0);
  EXPECT_EQ(host.Fit("linux", "pdp11", ""), 0);
  EXPECT_EQ(host.Fit("linux", host.architecture, "v999"), 0);
  EXPECT_EQ(host.Fit("linux", host.architecture, "garbage"), 0);
}

TEST(ImageConfigTest, ReadsWhatAContainerInherits) {
  const auto config = ParseImageConfig(R"({"os": "linux", "architecture": "amd64",
    "config": {"User": "1:2", "Env": ["A=b"], "Entrypoint": ["/e"], "Cmd": ["c", "d"],
      "WorkingDir": "/w", "Volumes": {"/v": {}, "/u": {}}, "StopSignal": "SIGQUIT",
      "Labels": {"k": "v", "n": null}},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:1"]}})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->user, "1:2");
  EXPECT_EQ(config->env, std::vector<std::string>{"A=b"});
  EXPECT_EQ(config->cmd, (std::vector<std::string>{"c", "d"}));
  EXPECT_EQ(config->entrypoint, std::vector<std::string>{"/e"});
  EXPECT_EQ(config->volumes, (std::vector<std::string>{"/u", "/v"}));
  EXPECT_EQ(config->stop_signal, "SIGQUIT");
  EXPECT_EQ(config->working_dir, "/w");
  EXPECT_EQ(config->labels.at("k"), "v");
  EXPECT_EQ(config->diff_ids, std::vector<std::string>{"sha256:1"});
  EXPECT_EQ(config->architecture, "amd64");
}

TEST(ImageConfigTest, NullIsEmptyAndWrongTypesAreNamed) {
  EXPECT_TRUE(ParseImageConfig("{}").ok());
  const auto nulls = ParseImageConfig(
      R"({"config": {"Env": null, "Volumes": null, "Labels": null, "User": null}, "rootfs": null})");
  EXPECT_TRUE(nulls.ok()) << nulls.status();
  EXPECT_TRUE(ParseImageConfig(R"({"config": null})").ok());
  for (const char* json :
       {"", "[]", "null", "7", R"({"config": []})", R"({"config": {"Env": "A=b"}})",
        R"({"config": {"Env": [7]}})", R"({"config": {"User": 7}})",
        R"({"config": {"Volumes": []}})", R"({"config": {"Labels": {"a": 7}}})",
        R"({"rootfs": {"diff_ids": "x"}})", R"({"rootfs": {"diff_ids": [null]}})"}) {
    EXPECT_EQ(ParseImageConfig(json).status().code(), absl::StatusCode::kInvalidArgument) << json;
  }
}

}  // namespace
}  // namespace davit::image
