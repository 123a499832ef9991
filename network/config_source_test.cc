// SPDX-License-Identifier: Apache-2.0
#include "network/config_source.h"

#include "base/file.h"
#include "base/status.h"
#include "network/test_util.h"

namespace davit::network {
namespace {

std::string List(const std::string& name) {
  return R"({"cniVersion":"1.0.0","name":")" + name + R"(","plugins":[{"type":"fake"}]})";
}

class ConfigSourceTest : public NetworkTest {
 protected:
  std::string NameInUse(ConfigSource& source) {
    const absl::StatusOr<NetworkPtr> network = source.Current();
    return network.ok() ? (*network)->name : "error: " + Message(network.status());
  }
};

TEST_F(ConfigSourceTest, EmptyDirectoryGivesTheBridge) {
  ConfigSource source(config_);
  const absl::StatusOr<NetworkPtr> network = source.Current();
  ASSERT_TRUE(network.ok()) << network.status();
  EXPECT_EQ((*network)->name, "br-test");
  ASSERT_EQ((*network)->plugins.size(), 2U);
  EXPECT_EQ((*network)->plugins[0].type, "bridge");
  EXPECT_EQ((*network)->plugins[1].type, "portmap");
  EXPECT_NE((*network)->list_json.find("10.201.0.0/24"), std::string::npos);
}

TEST_F(ConfigSourceTest, MissingDirectoryGivesTheBridge) {
  config_.config_dir = Path("nowhere");
  ConfigSource source(config_);
  EXPECT_EQ(NameInUse(source), "br-test");
  ASSERT_TRUE(MakeDirs(Path("nowhere"), 0755).ok());
  Write(Path("nowhere/a.conflist"), List("late"));
  EXPECT_EQ(NameInUse(source), "late");
}

TEST_F(ConfigSourceTest, NothingWithoutTheBridge) {
  config_.default_bridge = false;
  ConfigSource source(config_);
  const absl::Status status = source.Current().status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(Message(status).find(Path("net.d")), std::string::npos);
}

TEST_F(ConfigSourceTest, FirstByNameDecides) {
  Configure("20-b.conflist", List("second"));
  Configure("10-a.conf", R"({"cniVersion":"0.3.1","name":"first","type":"fake"})");
  Configure("05-note.txt", "not a configuration");
  Configure(".01-hidden.conflist", List("hidden"));
  ASSERT_TRUE(MakeDirs(Path("net.d/00-dir.conf"), 0755).ok());
  ConfigSource source(config_);
  EXPECT_EQ(NameInUse(source), "first");
}

TEST_F(ConfigSourceTest, BrokenFileIsNotPassedOver) {
  Configure("10-a.conflist", "{\"name\":");
  Configure("20-b.conflist", List("second"));
  ConfigSource source(config_);
  const absl::Status status = source.Current().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(Message(status).find("10-a.conflist"), std::string::npos);
}

TEST_F(ConfigSourceTest, DefaultNetworkIsFoundByName) {
  config_.default_network = "second";
  Configure("10-a.conflist", List("first"));
  Configure("15-broken.conflist", "{");
  Configure("20-b.conflist", List("second"));
  ConfigSource source(config_);
  EXPECT_EQ(NameInUse(source), "second");
  ASSERT_TRUE(RemoveFile(Path("net.d/20-b.conflist")).ok());
  const absl::Status status = source.Current().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(Message(status).find("15-broken.conflist"), std::string::npos);
  ASSERT_TRUE(RemoveFile(Path("net.d/15-broken.conflist")).ok());
  EXPECT_TRUE(absl::IsUnavailable(source.Current().status()));
}

TEST_F(ConfigSourceTest, SeesChangesAtOnce) {
  ConfigSource source(config_);
  EXPECT_EQ(NameInUse(source), "br-test");
  Configure("10-a.conflist", List("one"));
  EXPECT_EQ(NameInUse(source), "one");
  // In place and of the same length, likely within the same tick of the clock.
  Configure("10-a.conflist", List("two"));
  EXPECT_EQ(NameInUse(source), "two");
  Configure("10-a.conflist", "{");
  EXPECT_FALSE(source.Current().ok());
  Configure("10-a.conflist", List("six"));
  EXPECT_EQ(NameInUse(source), "six");
  ASSERT_TRUE(RemoveFile(Path("net.d/10-a.conflist")).ok());
  EXPECT_EQ(NameInUse(source), "br-test");
}

TEST_F(ConfigSourceTest, UnchangedDirectoryIsParsedOnce) {
  Configure("10-a.conflist", List("one"));
  ConfigSource source(config_);
  NetworkPtr before = *source.Current();
  // Until the files count as settled each look parses; afterwards the same object comes back.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  NetworkPtr now = *source.Current();
  while (now != before && std::chrono::steady_clock::now() < deadline) {
    before = now;
    now = *source.Current();
  }
  EXPECT_EQ(now, before);
}

}  // namespace
}  // namespace davit::network
