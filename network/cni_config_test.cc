// SPDX-License-Identifier: Apache-2.0
#include "network/cni_config.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/status.h"

namespace davit::network {
namespace {

std::string ErrorOf(const std::string& text) {
  const absl::StatusOr<NetworkConfig> network = ParseNetworkConfig(text, "/etc/x.conflist");
  EXPECT_EQ(network.status().code(), absl::StatusCode::kInvalidArgument) << text;
  const std::string message = Message(network.status());
  EXPECT_NE(message.find("/etc/x.conflist"), std::string::npos) << message;
  return message;
}

TEST(CniConfig, ReadsList) {
  const absl::StatusOr<NetworkConfig> network = ParseNetworkConfig(
      R"({"cniVersion":"0.4.0","name":"n1","plugins":[
          {"type":"bridge","bridge":"br0","ipam":{"type":"host-local"}},
          {"type":"portmap","capabilities":{"portMappings":true,"dns":false},
           "prevResult":{"x":1},"runtimeConfig":{"y":2}}]})",
      "f");
  ASSERT_TRUE(network.ok()) << network.status();
  EXPECT_EQ(network->name, "n1");
  EXPECT_EQ(network->cni_version, "0.4.0");
  ASSERT_EQ(network->plugins.size(), 2U);
  EXPECT_EQ(network->plugins[0].type, "bridge");
  EXPECT_EQ(network->plugins[0].ipam_type, "host-local");
  EXPECT_EQ(network->plugins[1].capabilities, std::vector<std::string>{"portMappings"});
  const auto input = ParseJson(network->plugins[1].stdin_head + "}", "stdin");
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(*input, nlohmann::json({{"type", "portmap"}, {"name", "n1"}, {"cniVersion", "0.4.0"}}));
}

TEST(CniConfig, WrapsSinglePlugin) {
  const absl::StatusOr<NetworkConfig> network =
      ParseNetworkConfig(R"({"cniVersion":"0.3.1","name":"single","type":"ptp"})", "f");
  ASSERT_TRUE(network.ok()) << network.status();
  ASSERT_EQ(network->plugins.size(), 1U);
  EXPECT_EQ(network->plugins[0].type, "ptp");
  // What is kept is a list that reads back as the same network.
  const absl::StatusOr<NetworkConfig> again = ParseNetworkConfig(network->list_json, "g");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->name, "single");
  EXPECT_EQ(again->plugins[0].stdin_head, network->plugins[0].stdin_head);
}

TEST(CniConfig, PicksNewestSupportedVersion) {
  const absl::StatusOr<NetworkConfig> network = ParseNetworkConfig(
      R"({"cniVersion":"0.3.1","cniVersions":["0.4.0","1.0.0","9.9.9"],"name":"n",
          "plugins":[{"type":"a"}]})",
      "f");
  ASSERT_TRUE(network.ok()) << network.status();
  EXPECT_EQ(network->cni_version, "1.0.0");
}

TEST(CniConfig, NamesWhatIsBroken) {
  ErrorOf("{\"name\": ");
  EXPECT_NE(ErrorOf(" \n").find("empty"), std::string::npos);
  EXPECT_NE(ErrorOf("[]").find("object"), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"cniVersion":"1.0.0","name":"n"})").find("no plugins"), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"cniVersion":"1.0.0","name":"n","plugins":[]})").find("no plugins"),
            std::string::npos);
  EXPECT_NE(ErrorOf(R"({"cniVersion":"1.0.0","name":"n","plugins":[1]})").find("plugins[0]"),
            std::string::npos);
  EXPECT_NE(ErrorOf(R"({"name":"n","plugins":[{"type":"a"}]})").find("cniVersion is missing"),
            std::string::npos);
  EXPECT_NE(ErrorOf(R"({"cniVersion":"0.1.0","name":"n","plugins":[{"type":"a"}]})").find("0.1.0"),
            std::string::npos);
}

TEST(CniConfig, RefusesNamesThatAreNoFileNames) {
  for (const char* name : {"", "../x", "a/b", ".hidden", "a b", "-a"}) {
    EXPECT_FALSE(IsValidName(name)) << name;
    ErrorOf(std::string(R"({"cniVersion":"1.0.0","plugins":[{"type":"a"}],"name":")") + name +
            "\"}");
  }
  EXPECT_TRUE(IsValidName("k8s-pod_net.1"));
  EXPECT_FALSE(IsValidName(std::string(129, 'a')));
  for (const char* type : {"../../bin/sh", "..", "a:b"}) {
    ErrorOf(std::string(R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":")") + type +
            "\"}]}");
  }
  ErrorOf(R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"a","ipam":{"type":"../b"}}]})");
}

TEST(CniConfig, ToleratesWrongTypesInside) {
  // Not ours to judge: the plugin says what it thinks of them.
  EXPECT_TRUE(ParseNetworkConfig(R"({"cniVersion":"1.0.0","name":"n","cniVersions":7,
      "plugins":[{"type":"a","ipam":[1],"capabilities":"all"}]})",
                                 "f")
                  .ok());
}

}  // namespace
}  // namespace davit::network
