// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/file.h"
#include "server/spec/spec_testing.h"

namespace davit::server::spec {
namespace {

constexpr char kContainerKey[] = "io.kubernetes.cri.blockio-class";
constexpr char kPodKey[] = "blockio.resources.beta.kubernetes.io/pod";
constexpr char kPodContainerKey[] = "blockio.resources.beta.kubernetes.io/container.web";

class BlockIoTest : public testing::Test {
 protected:
  BlockIoTest() {
    request_.allowed_annotations = {"io.kubernetes.cri.blockio-class",
                                    "blockio.resources.beta.kubernetes.io/*"};
  }

  void Classes(const std::string& text) {
    request_.node.blockio_config = dir_.Write("blockio.yaml", text);
  }
  void Ask(const char* key, const std::string& name) {
    auto& annotations = key == std::string(kContainerKey)
                            ? *request_.container.mutable_annotations()
                            : *request_.sandbox.mutable_annotations();
    annotations[key] = name;
  }
  Json Built() {
    const Json resources = request_.Config()["linux"]["resources"];
    return resources.contains("blockIO") ? resources["blockIO"] : Json();
  }
  std::string Error() { return Text(request_.Error()); }

  // False if this process may not make it.
  bool MakeDevice(const std::string& name, unsigned minor_number) {
    const std::string path = JoinPath(dir_.path(), name);
    return mknod(path.c_str(), S_IFBLK | 0600, makedev(240, minor_number)) == 0;
  }

  TempDir dir_;
  TestRequest request_;
};

TEST_F(BlockIoTest, WithoutAnAnnotationThereIsNone) {
  Classes("Classes: {slow: [{Weight: 80}]}\n");
  EXPECT_TRUE(Built().is_null());
}

TEST_F(BlockIoTest, TheClassOfTheContainerGoesBeforeThatOfThePod) {
  Classes("Classes:\n  a: [{Weight: 10}]\n  b: [{Weight: 20}]\n  c: [{weight: 30}]\n  none: []\n");
  Ask(kPodKey, "a");
  EXPECT_EQ(Built(), Json({{"weight", 10}}));
  Ask(kPodContainerKey, "b");
  EXPECT_EQ(Built(), Json({{"weight", 20}}));
  Ask(kContainerKey, "c");
  EXPECT_EQ(Built(), Json({{"weight", 30}}));
  Ask(kContainerKey, "");
  EXPECT_TRUE(Built().is_null()) << "the container asks for none";
  Ask(kContainerKey, "none");
  EXPECT_TRUE(Built().is_null());
}

TEST_F(BlockIoTest, OnlyWhereTheHandlerAllowsIt) {
  Classes("Classes:\n  a: [{Weight: 10}]\n  c: [{Weight: 30}]\n");
  Ask(kPodKey, "a");
  Ask(kContainerKey, "c");
  request_.allowed_annotations = {kPodKey};
  EXPECT_EQ(Built(), Json({{"weight", 10}}));
  request_.allowed_annotations = {};
  EXPECT_TRUE(Built().is_null());
}

TEST_F(BlockIoTest, DevicesByPattern) {
  if (!MakeDevice("sda", 0) || !MakeDevice("sda1", 1) || !MakeDevice("sdb", 16) ||
      !MakeDevice("nvme0", 32)) {
    GTEST_SKIP() << "may not make device nodes";
  }
  dir_.Write("sdx", "a file, no device");
  ASSERT_EQ(symlink("sdb", JoinPath(dir_.path(), "by-id").c_str()), 0);
  ASSERT_TRUE(MakeDirs(request_.sys_root + "/dev/block/240:1/partition").ok());
  const std::string& dev = dir_.path();
  Classes("classes:\n  slow:\n  - Weight: 80\n  - Devices: [" + dev + "/sd*, " + dev +
          "/gone]\n    ThrottleReadBps: 50M\n    ThrottleWriteBps: 10Mi\n"
          "    ThrottleReadIOPS: 10k\n    ThrottleWriteIOPS: 5000\n    Weight: 50\n"
          "  - devices: [" +
          dev + "/by-id]\n    throttleReadBps: 100M\n");
  Ask(kContainerKey, "slow");
  const Json sda = {{"major", 240}, {"minor", 0}};
  const auto with = [&sda](const char* key, uint64_t value) {
    Json entry = sda;
    entry[key] = value;
    return entry;
  };
  EXPECT_EQ(Built(), Json({{"weight", 80},
                           {"weightDevice", Json::array({with("weight", 50)})},
                           {"throttleReadBpsDevice",
                            Json::array({with("rate", 50'000'000),
                                         {{"major", 240}, {"minor", 16}, {"rate", 100'000'000}}})},
                           {"throttleWriteBpsDevice", Json::array({with("rate", 10U << 20U)})},
                           {"throttleReadIOPSDevice", Json::array({with("rate", 10'000)})},
                           {"throttleWriteIOPSDevice", Json::array({with("rate", 5000)})}}));
}

TEST_F(BlockIoTest, AChangeOfTheFileCountsAtOnce) {
  Classes("Classes: {a: [{Weight: 10}]}\n");
  Ask(kContainerKey, "a");
  EXPECT_EQ(Built()["weight"], 10);
  Classes("Classes: {a: [{Weight: 20}]}\n");
  EXPECT_EQ(Built()["weight"], 20);
}

TEST_F(BlockIoTest, AClassThatIsNotThereIsNamedOrPassedOver) {
  Ask(kContainerKey, "fast");
  EXPECT_EQ(Error(),
            "FAILED_PRECONDITION: container web: annotation io.kubernetes.cri.blockio-class: this "
            "node has no class fast: runtime.blockio_config is not set");
  Classes("Classes: {a: [{Weight: 10}], b: []}\n");
  EXPECT_EQ(Error(),
            "FAILED_PRECONDITION: container web: annotation io.kubernetes.cri.blockio-class: this "
            "node has no class fast; " +
                request_.node.blockio_config + " has a, b");
  request_.node.ignore_missing_blockio_class = true;
  EXPECT_TRUE(Built().is_null());
  request_.node.blockio_config.clear();
  EXPECT_TRUE(Built().is_null());
}

TEST_F(BlockIoTest, AFileWithAMistakeIsNamedWithTheLine) {
  Ask(kContainerKey, "a");
  request_.node.ignore_missing_blockio_class = true;  // of a class, not of a mistake
  for (const auto& [text, error] : std::vector<std::pair<std::string, std::string>>{
           {"[]", "must be a mapping"},
           {"Class: {}", "line 1: Class is not a key"},
           {"Classes: []", "line 1: Classes must be a mapping"},
           {"Classes:\n  a: {}", "line 2: a must be a list"},
           {"Classes:\n  a: [1]", "line 2: a holds an entry that is no mapping"},
           {"Classes:\n  a:\n  - Wait: 1", "line 3: Wait is no parameter"},
           {"Classes:\n  a:\n  - Weight: 9", "line 3: 9 is no weight"},
           {"Classes:\n  a:\n  - Weight: 1001", "1001 is no weight"},
           {"Classes:\n  a:\n  - Weight: heavy", "Weight must be a number"},
           {"Classes:\n  a:\n  - ThrottleReadBps: 1M", "a throttles without Devices"},
           {"Classes:\n  a:\n  - Devices: /dev/sda", "Devices must be a list"},
           {"Classes:\n  a:\n  - Devices: [sda]", "sda is no absolute path"},
           {"Classes:\n  a:\n  - Devices: [/dev/sda]\n    ThrottleReadBps: -1",
            "ThrottleReadBps must be a number"},
           {"Classes: [", "yaml"}}) {
    Classes(text);
    EXPECT_NE(Error().find(error), std::string::npos) << text << ": " << Error();
    EXPECT_NE(Error().find(request_.node.blockio_config), std::string::npos) << Error();
    EXPECT_NE(Text(CheckBlockIoFile(request_.node.blockio_config)).find(error), std::string::npos);
  }
  std::string bomb = "Classes:\n  a: &a [";
  for (int i = 0; i < 500; ++i) {
    bomb += "{Weight: 10},";
  }
  bomb += "]\n";
  for (int i = 0; i < 50; ++i) {
    bomb += "  c" + std::to_string(i) + ": *a\n";
  }
  Classes(bomb);
  EXPECT_NE(Error().find("holds more than 10000 entries"), std::string::npos) << Error();
  request_.node.blockio_config = dir_.path() + "/gone.yaml";
  EXPECT_NE(Error().find("gone.yaml"), std::string::npos) << Error();
  EXPECT_FALSE(CheckBlockIoFile(request_.node.blockio_config).ok());
  Classes("Classes:\n");
  EXPECT_TRUE(CheckBlockIoFile(request_.node.blockio_config).ok());
}

TEST_F(BlockIoTest, RdtClassesAreAskedForTheSameWay) {
  request_.allowed_annotations = {"rdt.resources.beta.kubernetes.io/*"};
  ASSERT_TRUE(MakeDirs(request_.sys_root + "/fs/resctrl/gold").ok());
  ASSERT_TRUE(MakeDirs(request_.sys_root + "/fs/resctrl/silver").ok());
  ASSERT_TRUE(WriteFileAtomic(request_.sys_root + "/fs/resctrl/schemata", "").ok());
  (*request_.sandbox.mutable_annotations())["rdt.resources.beta.kubernetes.io/pod"] = "gold";
  EXPECT_EQ(request_.Config()["linux"]["intelRdt"]["closID"], "gold");
  (*request_.sandbox.mutable_annotations())["rdt.resources.beta.kubernetes.io/container.web"] =
      "silver";
  EXPECT_EQ(request_.Config()["linux"]["intelRdt"]["closID"], "silver");
}

}  // namespace
}  // namespace davit::server::spec
