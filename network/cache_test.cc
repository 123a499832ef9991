// SPDX-License-Identifier: Apache-2.0
#include "network/cache.h"

#include <sys/stat.h>

#include "base/id.h"
#include "base/json.h"
#include "base/status.h"
#include "network/test_util.h"

namespace davit::network {
namespace {

class CacheTest : public NetworkTest {
 protected:
  static Attachment Example() {
    Attachment attachment;
    attachment.container_id = NewId();
    attachment.network = "n1";
    attachment.netns = "/run/ns/a";
    attachment.config_json = R"({"name":"n1","plugins":[{"type":"a"}]})";
    attachment.args = {{"IgnoreUnknown", "1"}, {"K8S_POD_NAME", "web"}};
    attachment.capability_args = {{"portMappings", R"([{"hostPort":80}])"}};
    attachment.result_json = R"({"cniVersion":"1.0.0","ips":[]})";
    return attachment;
  }
};

TEST_F(CacheTest, ReadsBackWhatItWrote) {
  const Cache cache(Path("cache"), "me");
  for (size_t extra = 0; extra < 4; ++extra) {  // all lengths of base64 padding
    Attachment in = Example();
    in.config_json += std::string(extra, ' ');
    ASSERT_TRUE(cache.Write(in).ok());
    ASSERT_TRUE(cache.Sync(in).ok());
    const auto found = cache.Find(in.container_id);
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_EQ(found->size(), 1U);
    const Attachment& out = found->front();
    EXPECT_EQ(out.container_id, in.container_id);
    EXPECT_EQ(out.network, in.network);
    EXPECT_EQ(out.netns, in.netns);
    EXPECT_EQ(out.config_json, in.config_json);
    EXPECT_EQ(out.args, in.args);
    EXPECT_EQ(out.capability_args, in.capability_args);
    EXPECT_EQ(out.result_json, in.result_json);
    ASSERT_TRUE(cache.Remove(in).ok());
    EXPECT_TRUE(cache.Remove(in).ok());
    EXPECT_TRUE(cache.Find(in.container_id)->empty());
  }
}

TEST_F(CacheTest, HasTheLayoutThatOthersRead) {
  const Cache cache(Path("cache"), "me");
  const Attachment in = Example();
  ASSERT_TRUE(cache.Write(in).ok());
  const std::string path = Path("cache/results/n1-" + in.container_id + "-eth0");
  const auto root = ParseJson(Read(path), path);
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_EQ((*root)["kind"], "cniCacheV1");
  EXPECT_EQ((*root)["containerId"], in.container_id);
  EXPECT_EQ((*root)["ifName"], "eth0");
  EXPECT_EQ((*root)["networkName"], "n1");
  EXPECT_EQ((*root)["config"], "eyJuYW1lIjoibjEiLCJwbHVnaW5zIjpbeyJ0eXBlIjoiYSJ9XX0=");
  EXPECT_EQ((*root)["cniArgs"][1][0], "K8S_POD_NAME");
  EXPECT_EQ((*root)["capabilityArgs"]["portMappings"][0]["hostPort"], 80);
  EXPECT_EQ((*root)["result"]["cniVersion"], "1.0.0");
  struct stat status = {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(CacheTest, ListsOwnContainersOnly) {
  const Cache cache(Path("cache"), "me");
  EXPECT_TRUE(cache.Containers()->empty());
  const Attachment mine = Example();
  Attachment also_mine = mine;
  also_mine.network = "n2";
  const Attachment theirs = Example();
  ASSERT_TRUE(cache.Write(mine).ok());
  ASSERT_TRUE(cache.Write(also_mine).ok());
  ASSERT_TRUE(Cache(Path("cache"), "another").Write(theirs).ok());
  const std::string foreign = NewId();
  Write(Path("cache/results/podman-" + foreign + "-eth0"),
        R"({"kind":"cniCacheV1","containerId":")" + foreign + R"(","networkName":"podman"})");
  Write(Path("cache/results/garbage"), "\x01\x02");
  Write(Path("cache/results/empty"), "");
  EXPECT_EQ(*cache.Containers(), std::vector<std::string>{mine.container_id});
  EXPECT_EQ(cache.Find(mine.container_id)->size(), 2U);
}

TEST_F(CacheTest, DamagedEntryKeepsItsNames) {
  const Cache cache(Path("cache"), "me");
  const Attachment in = Example();
  ASSERT_TRUE(cache.Write(in).ok());
  const std::string path = Path("cache/results/n1-" + in.container_id + "-eth0");
  const std::string whole = Read(path);
  for (const std::string& damaged :
       {std::string(), whole.substr(0, whole.size() / 2), std::string("[]"),
        std::string(R"({"kind":"cniCacheV1","containerId":5,"networkName":{}})")}) {
    Write(path, damaged);
    const auto found = cache.Find(in.container_id);
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_EQ(found->size(), 1U);
    EXPECT_EQ(found->front().network, "n1");
    EXPECT_EQ(found->front().config_json, "");
  }
}

TEST_F(CacheTest, RefusesNamesThatLeaveTheDirectory) {
  const Cache cache(Path("cache"), "me");
  Attachment bad = Example();
  bad.container_id = "../../etc/x";
  EXPECT_TRUE(absl::IsInvalidArgument(cache.Write(bad)));
  bad = Example();
  bad.network = "../x";
  EXPECT_TRUE(absl::IsInvalidArgument(cache.Write(bad)));
  EXPECT_TRUE(cache.Find("../../etc/x")->empty());
}

}  // namespace
}  // namespace davit::network
