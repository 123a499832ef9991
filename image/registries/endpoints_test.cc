// SPDX-License-Identifier: Apache-2.0
#include "image/registries/endpoints.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "image/test_util.h"

namespace davit::image {
namespace {

using Strings = std::vector<std::string>;
using testing::HasSubstr;

const std::string kDigest = "@sha256:" + std::string(64, 'a');

class EndpointsTest : public testing::Test {
 protected:
  EndpointsTest() {
    config_.certs_dirs = {dir_.path() + "/certs.d"};
    config_.hosts_dirs = {dir_.path() + "/hosts.d"};
  }

  void Conf(const std::string& text) {
    auto conf = ParseRegistriesConf(text, "r.conf");
    ASSERT_TRUE(conf.ok()) << conf.status();
    conf_ = *std::move(conf);
  }
  void Hosts(const std::string& host, const std::string& text) {
    const std::string directory = config_.hosts_dirs[0] + "/" + host;
    std::filesystem::create_directories(directory);
    std::ofstream(directory + "/hosts.toml") << text;
  }
  std::vector<Endpoint> For(const std::string& name) {
    auto reference = Reference::Parse(name);
    EXPECT_TRUE(reference.ok()) << reference.status();
    auto endpoints = EndpointsFor(*reference, conf_, config_);
    EXPECT_TRUE(endpoints.ok()) << endpoints.status();
    return endpoints.value_or(std::vector<Endpoint>(1));
  }
  Strings Urls(const std::string& name) {
    Strings urls;
    for (const Endpoint& endpoint : For(name)) {
      urls.push_back(endpoint.base + endpoint.api + "/" + endpoint.repository);
    }
    return urls;
  }

  TempDir dir_;
  RegistriesConf conf_;
  config::Image config_;
};

TEST_F(EndpointsTest, WithoutMirrorsThereIsTheOrigin) {
  EXPECT_EQ(Urls("r.example/a/b"), Strings{"https://r.example/v2/a/b"});
  EXPECT_EQ(Urls("busybox"), Strings{"https://registry-1.docker.io/v2/library/busybox"});
  EXPECT_EQ(For("busybox")[0].auth_name, "docker.io/library/busybox");
}

TEST_F(EndpointsTest, ConfiguredMirrorsByTheLongestPrefixInOrder) {
  config_.mirrors = {{"docker.io", {"far.example"}},
                     {"docker.io/library", {"127.0.0.1:5000", "near.example:444/cache/hub/"}},
                     {"docker.io/lib", {"wrong.example"}}};
  EXPECT_EQ(Urls("busybox"), (Strings{"http://127.0.0.1:5000/v2/library/busybox",
                                      "https://near.example:444/v2/cache/hub/library/busybox",
                                      "https://registry-1.docker.io/v2/library/busybox"}));
  EXPECT_EQ(Urls("team/app"), (Strings{"https://far.example/v2/team/app",
                                       "https://registry-1.docker.io/v2/team/app"}));
  EXPECT_EQ(Urls("docker.io.example/library/x"), Strings{"https://docker.io.example/v2/library/x"});
  EXPECT_FALSE(For("busybox").back().mirror);
}

TEST_F(EndpointsTest, SchemeOfAConfiguredEndpointCounts) {
  config_.mirrors = {{"r.example", {"http://plain.example:80", "https://127.0.0.1:5000"}}};
  EXPECT_EQ(Urls("r.example/a"),
            (Strings{"http://plain.example:80/v2/a", "https://127.0.0.1:5000/v2/a",
                     "https://r.example/v2/a"}));
}

TEST_F(EndpointsTest, BadConfiguredEndpointsAreNamed) {
  for (const char* bad : {"", "http://", "ftp://x", "user@host", "host/UPPER", "host:port", "a b",
                          "host/..", "host?x=1"}) {
    config_.mirrors = {{"r.example", {bad}}};
    EXPECT_EQ(CheckMirrors(config_).code(), absl::StatusCode::kFailedPrecondition) << bad;
  }
}

TEST_F(EndpointsTest, LocationTakesThePrefixsPlace) {
  Conf(R"(
[[registry]]
prefix = "a.example/team"
location = "b.example:444/mirror-of/team"
[[registry]]
prefix = "*.wild.example"
location = "c.example"
[[registry]]
prefix = "*.kept.example"
)");
  EXPECT_EQ(Urls("a.example/team/app"), Strings{"https://b.example:444/v2/mirror-of/team/app"});
  EXPECT_EQ(Urls("a.example/other"), Strings{"https://a.example/v2/other"});
  EXPECT_EQ(Urls("x.y.wild.example/app"), Strings{"https://c.example/v2/app"});
  EXPECT_EQ(Urls("x.kept.example/app"), Strings{"https://x.kept.example/v2/app"});
  EXPECT_EQ(For("a.example/team/app")[0].auth_name, "b.example:444/mirror-of/team/app");
}

TEST_F(EndpointsTest, MirrorsOfRegistriesConfByTagAndByDigest) {
  Conf(R"(
[[registry]]
location = "a.example"
[[registry.mirror]]
location = "all.example/x"
[[registry.mirror]]
location = "digests.example"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "tags.example"
pull-from-mirror = "tag-only"
)");
  EXPECT_EQ(Urls("a.example/app:1"),
            (Strings{"https://all.example/v2/x/app", "https://tags.example/v2/app",
                     "https://a.example/v2/app"}));
  EXPECT_EQ(Urls("a.example/app" + kDigest),
            (Strings{"https://all.example/v2/x/app", "https://digests.example/v2/app",
                     "https://a.example/v2/app"}));
  config_.mirrors = {{"a.example", {"own.example"}}};
  EXPECT_EQ(Urls("a.example/app:1"),
            (Strings{"https://own.example/v2/app", "https://a.example/v2/app"}))
      << "the configuration's own count alone";
}

TEST_F(EndpointsTest, BlockedSaysByWhat) {
  Conf("[[registry]]\nprefix = 'a.example/bad'\nlocation = 'a.example/bad'\nblocked = true\n");
  const auto endpoints = EndpointsFor(*Reference::Parse("a.example/bad/x"), conf_, config_);
  EXPECT_EQ(endpoints.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(Message(endpoints.status()), HasSubstr("a.example/bad is blocked by r.conf:1"));
  EXPECT_EQ(Urls("a.example/good"), Strings{"https://a.example/v2/good"});
}

TEST_F(EndpointsTest, InsecureMeansAnyCertificateOrNone) {
  Conf(
      "[[registry]]\nlocation = 'a.example'\ninsecure = true\n[[registry.mirror]]\n"
      "location = 'm.example'\ninsecure = true\n");
  config_.insecure_registries = {"own.example:5000"};
  for (const Endpoint& endpoint :
       {For("a.example/x")[0], For("a.example/x")[1], For("own.example:5000/x")[0]}) {
    EXPECT_TRUE(endpoint.may_be_plain) << endpoint.base;
    EXPECT_TRUE(endpoint.tls->skip_verify);
    EXPECT_TRUE(endpoint.base.starts_with("https://"));
  }
  EXPECT_FALSE(For("b.example/x")[0].may_be_plain);
  EXPECT_EQ(For("b.example/x")[0].tls, nullptr);
}

TEST_F(EndpointsTest, LoopbackWithCertificatesSpeaksTls) {
  EXPECT_EQ(Urls("127.0.0.1:5000/x"), Strings{"http://127.0.0.1:5000/v2/x"});
  std::filesystem::create_directories(config_.certs_dirs[0] + "/127.0.0.1:5000");
  std::ofstream(config_.certs_dirs[0] + "/127.0.0.1:5000/ca.crt") << "-----BEGIN X-----";
  EXPECT_EQ(Urls("127.0.0.1:5000/x"), Strings{"https://127.0.0.1:5000/v2/x"});
}

TEST_F(EndpointsTest, HostsTomlWhereNothingElseSpeaks) {
  Hosts("docker.io", R"(
server = "https://hub.example"
[host."https://m.example/v2/hub"]
override_path = true
header = { x-a = "b" }
[host."https://pull-only.example"]
capabilities = ["pull"]
)");
  EXPECT_EQ(Urls("busybox"), (Strings{"https://m.example/v2/hub/library/busybox",
                                      "https://hub.example/v2/library/busybox"}));
  EXPECT_EQ(Urls("busybox" + kDigest), (Strings{"https://m.example/v2/hub/library/busybox",
                                                "https://pull-only.example/v2/library/busybox",
                                                "https://hub.example/v2/library/busybox"}));
  const auto endpoints = For("busybox");
  EXPECT_EQ(endpoints[0].query, "ns=docker.io");
  EXPECT_EQ(endpoints[0].headers, Strings{"x-a: b"});
  EXPECT_EQ(endpoints[0].auth_name, "m.example/library/busybox");
  EXPECT_EQ(endpoints[1].auth_name, "docker.io/library/busybox");
  EXPECT_FALSE(endpoints[1].mirror);
  Conf("[[registry]]\nlocation = 'docker.io'\n[[registry.mirror]]\nlocation = 'conf.example'\n");
  EXPECT_EQ(Urls("busybox"), (Strings{"https://conf.example/v2/library/busybox",
                                      "https://hub.example/v2/library/busybox"}));
}

TEST_F(EndpointsTest, AMistakeInHostsTomlIsNamed) {
  Hosts("r.example", "server = ");
  const auto endpoints = EndpointsFor(*Reference::Parse("r.example/x"), conf_, config_);
  EXPECT_EQ(endpoints.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(endpoints.status()), HasSubstr("r.example/hosts.toml:1: "));
}

TEST_F(EndpointsTest, PlainHttpIsForLoopbackAndInsecureRegistries) {
  Conf("[[registry]]\nlocation = 'conf.example:1'\ninsecure = true\n");
  config_.insecure_registries = {"plain.example:5000", "whole.example", "fd00::1"};
  for (const char* host :
       {"localhost", "localhost:5000", "LOCALHOST", "127.0.0.1", "127.8.9.1:80", "[::1]:5000",
        "plain.example:5000", "whole.example:1234", "[fd00::1]:5", "conf.example:1"}) {
    EXPECT_TRUE(PlainHttpAllowed(host, conf_, config_)) << host;
  }
  for (const char* host : {"localhost.example", "128.0.0.1", "127.0.0.1.example", "plain.example",
                           "[::2]:5000", "example", "10.0.0.1", "", "conf.example:2"}) {
    EXPECT_FALSE(PlainHttpAllowed(host, conf_, config_)) << host;
  }
  EXPECT_FALSE(IsInsecureRegistry("127.0.0.1:5000", conf_, config_));
}

}  // namespace
}  // namespace davit::image
