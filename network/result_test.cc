// SPDX-License-Identifier: Apache-2.0
#include "network/result.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/status.h"

namespace davit::network {
namespace {

using Ips = std::vector<std::string>;

std::string ErrorOf(const std::string& text) {
  const absl::StatusOr<PluginResult> result = ParseResult(text, "1.0.0");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInternal) << text;
  return Message(result.status());
}

TEST(Result, TakesThePodsAddressesInOrder) {
  const absl::StatusOr<PluginResult> result = ParseResult(
      R"({"cniVersion":"1.0.0",
          "interfaces":[{"name":"br0"},{"name":"veth1"},{"name":"eth0","sandbox":"/run/ns/a"}],
          "ips":[{"address":"fd00::5/64","interface":2},{"address":"10.0.0.1/24","interface":0},
                 {"address":"10.0.0.5/24","gateway":"10.0.0.1","interface":2},
                 {"address":"10.0.0.5/24","interface":2}]})",
      "1.0.0");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->ips, (Ips{"fd00::5", "10.0.0.5"}));
}

TEST(Result, AddressesWithoutInterfaceAreThePods) {
  const absl::StatusOr<PluginResult> result = ParseResult(
      R"({"cniVersion":"0.3.1","ips":[{"version":"4","address":"10.0.0.5/24"}]})", "0.3.1");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->ips, Ips{"10.0.0.5"});
}

TEST(Result, BringsOtherVersionsToTheNetworks) {
  const auto old = ParseResult(
      R"({"cniVersion":"1.0.0","ips":[{"address":"10.0.0.5/24"},{"address":"fd00::5/64"}]})",
      "0.4.0");
  ASSERT_TRUE(old.ok()) << old.status();
  const auto root = ParseJson(old->json, "x");
  ASSERT_TRUE(root.ok());
  EXPECT_EQ((*root)["cniVersion"], "0.4.0");
  EXPECT_EQ((*root)["ips"][0]["version"], "4");
  EXPECT_EQ((*root)["ips"][1]["version"], "6");
  const auto recent = ParseResult(
      R"({"cniVersion":"0.3.1","ips":[{"version":"4","address":"10.0.0.5/24"}]})", "1.1.0");
  ASSERT_TRUE(recent.ok()) << recent.status();
  EXPECT_FALSE((*ParseJson(recent->json, "x"))["ips"][0].contains("version"));
}

TEST(Result, WithoutAddressesIsForTheCallerToJudge) {
  const auto result = ParseResult(R"({"cniVersion":"1.0.0"})", "1.0.0");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->ips.empty());
}

TEST(Result, RefusesGarbage) {
  EXPECT_NE(ErrorOf("").find("no result"), std::string::npos);
  const std::string message = ErrorOf("hello\x01\x1b[31m");
  EXPECT_NE(message.find("hello"), std::string::npos);
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  ErrorOf("[1]");
  ErrorOf(std::string(100000, '['));
  EXPECT_NE(ErrorOf("{}").find("cniVersion"), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"cniVersion":"0.2.0","ip4":{}})").find("0.2.0"), std::string::npos);
  ErrorOf(R"({"cniVersion":5})");
}

TEST(Result, RefusesInvalidAddresses) {
  for (const char* address : {"", "10.0.0.5", "10.0.0.256/24", "10.0.0.5/33", "10.0.0.5/-1", "x/24",
                              "fd00::5/129", "fd00::5::/64", "10.0.0.5/24/1", "$(reboot)/1"}) {
    const std::string message =
        ErrorOf(std::string(R"({"cniVersion":"1.0.0","ips":[{"address":")") + address + "\"}]}");
    EXPECT_NE(message.find("ips[0]"), std::string::npos) << message;
    EXPECT_FALSE(IsIpWithPrefix(address));
  }
  ErrorOf(R"({"cniVersion":"1.0.0","ips":"10.0.0.5/24"})");
  ErrorOf(R"({"cniVersion":"1.0.0","ips":[5]})");
  ErrorOf(R"({"cniVersion":"1.0.0","ips":[{"address":"10.0.0.5/24","gateway":"up"}]})");
  ErrorOf(R"({"cniVersion":"1.0.0","ips":[{"address":"10.0.0.5/24","interface":3}]})");
  ErrorOf(R"({"cniVersion":"1.0.0","ips":[{"address":"10.0.0.5/24","interface":-1}]})");
  ErrorOf(R"({"cniVersion":"1.0.0","interfaces":{"a":1},
              "ips":[{"address":"10.0.0.5/24","interface":0}]})");
}

TEST(Result, ErrorTextPrefersThePluginsWords) {
  EXPECT_EQ(PluginErrorText(1, R"({"code":7,"msg":"no route","details":"to host"})", "trace"),
            "no route; to host");
  EXPECT_EQ(PluginErrorText(1, R"({"code":7,"msg":"no route"})", ""), "no route");
  EXPECT_EQ(PluginErrorText(3, "", " panic: x \n"), "it exited with 3 and printed \"panic: x\"");
  EXPECT_EQ(PluginErrorText(3, "oops", "panic"), "it exited with 3 and printed \"oops\"");
  EXPECT_EQ(PluginErrorText(3, "", ""), "it exited with 3 and printed nothing");
}

TEST(Result, AddressesOfThePod) {
  const auto addresses = PodAddresses(R"({"cniVersion":"1.0.0",
      "interfaces":[{"name":"br0"},{"name":"eth0","sandbox":"/x"}],
      "ips":[{"address":"10.0.0.1/24","interface":0},{"address":"10.0.0.2/24","interface":1},
             {"address":"fd00::2/64","interface":1}]})");
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(*addresses, (std::vector<std::string>{"10.0.0.2/24", "fd00::2/64"}));
  EXPECT_FALSE(PodAddresses("").ok());
}

TEST(Result, NameServers) {
  const auto dns = ResultDns(R"({"cniVersion":"1.0.0","dns":{"nameservers":["10.0.0.10","fd00::a"],
      "domain":"lan","search":["a.lan","b.lan"],"options":["ndots:2"]}})");
  ASSERT_TRUE(dns.ok()) << dns.status();
  EXPECT_EQ(dns->servers, (std::vector<std::string>{"10.0.0.10", "fd00::a"}));
  EXPECT_EQ(dns->searches, (std::vector<std::string>{"a.lan", "b.lan"}));
  EXPECT_EQ(dns->options, (std::vector<std::string>{"ndots:2"}));
  EXPECT_EQ(ResultDns(R"({"dns":{"domain":"lan"}})")->searches, (std::vector<std::string>{"lan"}));
  for (const char* nothing : {R"({})", R"({"dns":{}})", R"({"dns":null})"}) {
    ASSERT_TRUE(ResultDns(nothing).ok()) << nothing;
    EXPECT_TRUE(ResultDns(nothing)->servers.empty());
  }
}

TEST(Result, RefusesNameServersThatWouldBeLinesOfTheirOwn) {
  for (const char* bad :
       {R"({"nameservers":["10.0.0.1\nnameserver 6.6.6.6"]})", R"({"nameservers":["resolver"]})",
        R"({"nameservers":"10.0.0.1"})", R"({"nameservers":[7]})", R"({"search":["a b"]})",
        R"({"search":[""]})", R"({"domain":"lan\noptions rotate"})", R"({"options":["\u007f"]})"}) {
    const auto dns = ResultDns(std::string(R"({"dns":)") + bad + "}");
    EXPECT_TRUE(absl::IsInternal(dns.status())) << bad;
    EXPECT_NE(Message(dns.status()).find("dns."), std::string::npos) << dns.status();
  }
}

TEST(Result, Versions) {
  EXPECT_EQ(SupportedVersions(R"({"supportedVersions":["0.4.0","1.1.0",7]})"),
            (std::vector<std::string>{"0.4.0", "1.1.0"}));
  EXPECT_TRUE(SupportedVersions(R"({"cniVersion":"1.0.0"})").empty());
  EXPECT_TRUE(SupportedVersions("boom").empty());
}

}  // namespace
}  // namespace davit::network
