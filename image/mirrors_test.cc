// SPDX-License-Identifier: Apache-2.0
#include "image/mirrors.h"

#include <gtest/gtest.h>

#include "image/loopback.h"

namespace davit::image {
namespace {

std::vector<std::string> Urls(const std::string& name, const config::Image& config) {
  auto reference = Reference::Parse(name);
  EXPECT_TRUE(reference.ok()) << reference.status();
  auto endpoints = EndpointsFor(*reference, config);
  EXPECT_TRUE(endpoints.ok()) << endpoints.status();
  std::vector<std::string> urls;
  for (const Endpoint& endpoint : *endpoints) {
    urls.push_back(endpoint.base + "/v2/" + endpoint.repository);
  }
  EXPECT_FALSE(endpoints->back().mirror);
  return urls;
}

using Strings = std::vector<std::string>;

TEST(MirrorsTest, WithoutMirrorsThereIsTheOrigin) {
  const config::Image config;
  EXPECT_EQ(Urls("r.example/a/b", config), Strings{"https://r.example/v2/a/b"});
  EXPECT_EQ(Urls("busybox", config), Strings{"https://registry-1.docker.io/v2/library/busybox"});
}

TEST(MirrorsTest, LongestPrefixInOrderThenTheOrigin) {
  config::Image config;
  config.mirrors = {{"docker.io", {"far.example"}},
                    {"docker.io/library", {"127.0.0.1:5000", "near.example:444/cache/hub/"}},
                    {"docker.io/lib", {"wrong.example"}}};
  EXPECT_EQ(Urls("busybox", config),
            (Strings{"http://127.0.0.1:5000/v2/library/busybox",
                     "https://near.example:444/v2/cache/hub/library/busybox",
                     "https://registry-1.docker.io/v2/library/busybox"}));
  EXPECT_EQ(Urls("team/app", config), (Strings{"https://far.example/v2/team/app",
                                               "https://registry-1.docker.io/v2/team/app"}));
  EXPECT_EQ(Urls("docker.io.example/library/x", config),
            Strings{"https://docker.io.example/v2/library/x"});
}

TEST(MirrorsTest, SchemeOfTheEndpointCounts) {
  config::Image config;
  config.mirrors = {{"r.example", {"http://plain.example:80", "https://127.0.0.1:5000"}}};
  EXPECT_EQ(Urls("r.example/a", config),
            (Strings{"http://plain.example:80/v2/a", "https://127.0.0.1:5000/v2/a",
                     "https://r.example/v2/a"}));
}

TEST(MirrorsTest, BadEndpointsAreNamed) {
  for (const char* bad : {"", "http://", "ftp://x", "user@host", "host/UPPER", "host:port", "a b",
                          "host/..", "host?x=1"}) {
    config::Image config;
    config.mirrors = {{"r.example", {bad}}};
    const auto endpoints = EndpointsFor(*Reference::Parse("r.example/a"), config);
    ASSERT_FALSE(endpoints.ok()) << bad;
    EXPECT_EQ(endpoints.status().code(), absl::StatusCode::kFailedPrecondition) << bad;
  }
}

TEST(MirrorsTest, PlainHttpIsForLoopbackAndInsecureRegistries) {
  config::Image config;
  config.insecure_registries = {"plain.example:5000", "whole.example", "fd00::1"};
  for (const char* host :
       {"localhost", "localhost:5000", "LOCALHOST", "127.0.0.1", "127.8.9.1:80", "[::1]:5000",
        "plain.example:5000", "whole.example:1234", "[fd00::1]:5"}) {
    EXPECT_TRUE(PlainHttpAllowed(host, config)) << host;
  }
  for (const char* host : {"localhost.example", "128.0.0.1", "127.0.0.1.example", "plain.example",
                           "[::2]:5000", "example", "10.0.0.1", ""}) {
    EXPECT_FALSE(PlainHttpAllowed(host, config)) << host;
  }
  EXPECT_FALSE(IsInsecureRegistry("127.0.0.1:5000", config));
}

}  // namespace
}  // namespace davit::image
