// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "test/images/fixture_images.h"
#include "test/images/oci_layout.h"
#include "test/images/tar_layer.h"

namespace davit::test {
namespace {

using nlohmann::json;

class ImagesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!PathExists("/bin/busybox")) {
      GTEST_SKIP() << "busybox-static is not installed";
    }
    std::string pattern = testing::TempDir() + "davit-images-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override {
    if (!dir_.empty()) {
      EXPECT_TRUE(RemoveTree(dir_).ok());
    }
  }

  std::string Blob(const std::string& layout, const json& descriptor) const {
    const auto digest = Digest::Parse(descriptor["digest"].get<std::string>());
    const auto bytes = ReadFile(dir_ + "/" + layout + "/blobs/sha256/" + digest->hex());
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    EXPECT_EQ(Digest::Sha256Of(*bytes), *digest);
    EXPECT_EQ(bytes->size(), descriptor["size"].get<size_t>());
    return *bytes;
  }

  std::string dir_;
};

TEST_F(ImagesTest, SameInputGivesSameBytes) {
  for (const char* name : {"busybox", "multi", "zstd", "other-arch"}) {
    const auto image = MakeFixtureImage(name);
    ASSERT_TRUE(image.ok()) << image.status();
    const auto first = WriteLayout(dir_ + "/a-" + name, "latest", *image);
    const auto again = MakeFixtureImage(name);
    const auto second = WriteLayout(dir_ + "/b-" + name, "latest", *again);
    ASSERT_TRUE(first.ok()) << first.status();
    ASSERT_TRUE(second.ok()) << second.status();
    EXPECT_EQ(first->text(), second->text()) << name;
  }
}

TEST_F(ImagesTest, LayoutHoldsAWholeImage) {
  const auto image = MakeFixtureImage("web");
  ASSERT_TRUE(image.ok()) << image.status();
  const auto digest = WriteLayout(dir_ + "/web", "v1", *image);
  ASSERT_TRUE(digest.ok()) << digest.status();
  const json index = json::parse(*ReadFile(dir_ + "/web/index.json"));
  const json& named = index["manifests"][0];
  EXPECT_EQ(named["digest"], digest->text());
  EXPECT_EQ(named["annotations"]["org.opencontainers.image.ref.name"], "v1");
  const json manifest = json::parse(Blob("web", named));
  const json config = json::parse(Blob("web", manifest["config"]));
  EXPECT_EQ(config["architecture"], OwnArchitecture());
  EXPECT_EQ(config["config"]["Cmd"][0], "httpd");
  ASSERT_EQ(manifest["layers"].size(), 2U);
  EXPECT_EQ(config["rootfs"]["diff_ids"].size(), 2U);
  for (const auto& layer : manifest["layers"]) {
    EXPECT_FALSE(Blob("web", layer).empty());
  }
}

TEST_F(ImagesTest, IndexNamesItsPlatform) {
  const auto image = MakeFixtureImage("other-arch");
  ASSERT_TRUE(WriteLayout(dir_ + "/other", "latest", *image).ok());
  const json layout = json::parse(*ReadFile(dir_ + "/other/index.json"));
  const json index = json::parse(Blob("other", layout["manifests"][0]));
  EXPECT_EQ(index["manifests"][0]["platform"]["architecture"], "s390x");
}

TEST_F(ImagesTest, UnknownNameNamesTheKnown) {
  const auto image = MakeFixtureImage("nonsense");
  EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(image.status().ToString().find("busybox, web"), std::string::npos);
}

TEST(TarLayer, MarksWhatIsGone) {
  TarLayer layer;
  layer.Whiteout("top").Whiteout("dir/gone").Opaque("dir/hidden");
  const auto tar = layer.Finish();
  ASSERT_TRUE(tar.ok()) << tar.status();
  for (const std::string name : {".wh.top", "dir/.wh.gone", "dir/hidden/.wh..wh..opq"}) {
    EXPECT_NE(tar->find(name + std::string(1, '\0')), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace davit::test
