// SPDX-License-Identifier: Apache-2.0
#include "image/registries/hosts_toml.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "image/test_util.h"

namespace davit::image {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(HostsTomlTest, ReadsEverything) {
  const auto hosts = ParseHostsToml(R"(
server = "https://registry.example/"
skip_verify = true
[host."https://z.example"]
  capabilities = ["pull", "resolve"]
  ca = "ca.pem"
  client = [["/abs/cert.pem", "key.pem"], ["other.pem", ""]]
  [host."https://z.example".header]
    x-one = "1"
    x-many = ["a", "b"]
[host."http://127.0.0.1:5000/v2/cache"]
  override_path = true
  capabilities = ["pull"]
[host."a.example/mirror/v2"]
  ca = ["one.pem", "two.pem"]
  client = "both.pem"
  dial_timeout = "1s"
)",
                                    "hosts.toml", "/dir");
  ASSERT_TRUE(hosts.ok()) << hosts.status();
  ASSERT_TRUE(hosts->server);
  EXPECT_EQ(hosts->server->host, "registry.example");
  EXPECT_TRUE(hosts->server->skip_verify);
  ASSERT_EQ(hosts->mirrors.size(), 3U);
  const HostsEntry& z = hosts->mirrors[0];
  EXPECT_EQ(z.host, "z.example") << "the order of the file";
  EXPECT_THAT(z.ca_files, ElementsAre("/dir/ca.pem"));
  EXPECT_EQ(z.cert_file, "/abs/cert.pem");
  EXPECT_EQ(z.key_file, "/dir/key.pem");
  EXPECT_THAT(z.headers, ElementsAre("x-many: a", "x-many: b", "x-one: 1"));
  EXPECT_TRUE(z.can_pull && z.can_resolve);
  const HostsEntry& cache = hosts->mirrors[1];
  EXPECT_EQ(cache.scheme, "http");
  EXPECT_EQ(cache.host, "127.0.0.1:5000");
  EXPECT_EQ(cache.path, "/v2/cache");
  EXPECT_TRUE(cache.override_path);
  EXPECT_FALSE(cache.can_resolve);
  const HostsEntry& a = hosts->mirrors[2];
  EXPECT_EQ(a.scheme, "https");
  EXPECT_EQ(a.path, "/mirror");
  EXPECT_THAT(a.ca_files, ElementsAre("/dir/one.pem", "/dir/two.pem"));
  EXPECT_EQ(a.cert_file, "/dir/both.pem");
  EXPECT_EQ(a.key_file, "/dir/both.pem");
  EXPECT_TRUE(hosts->warnings.empty());
}

TEST(HostsTomlTest, MistakesNameFileLineAndWhat) {
  const struct {
    const char* text;
    const char* says;
  } cases[] = {
      {"\n[host", "hosts.toml:2: "},
      {"server = 1", "server is not a string"},
      {"server = 'ftp://x.example'", "'ftp://x.example' is not"},
      {"server = 'https://u:p@x.example'", "is not [http[s]://]host"},
      {"host = 1", "host is not a table"},
      {"host = { 'https://x.example' = 1 }", "host 'https://x.example' is not a table"},
      {"[host.'https://x.example?q=1']", "is not [http[s]://]host"},
      {"[host.'https://x.example']\ncapabilities = ['fly']", "hosts.toml:2: unknown capability"},
      {"[host.'https://x.example']\nskip_verify = 'yes'", "hosts.toml:2: skip_verify"},
      {"[host.'https://x.example']\nca = 1", "ca is not"},
      {"[host.'https://x.example']\nclient = [[1, 2]]", "client is not"},
      {"[host.'https://x.example']\nclient = [['a', 'b', 'c']]", "client is not"},
      {"[host.'https://x.example']\nheader = 1", "header is not"},
      {"[host.'https://x.example'.header]\nx = \"a\\r\\nHost: evil\"", "header 'x'"},
      {"[host.'https://x.example'.header]\n\"a:b\" = \"c\"", "header 'a:b'"},
  };
  for (const auto& c : cases) {
    const auto hosts = ParseHostsToml(c.text, "hosts.toml", "/dir");
    ASSERT_FALSE(hosts.ok()) << c.text;
    EXPECT_EQ(hosts.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(Message(hosts.status()), HasSubstr(c.says)) << c.text;
    EXPECT_TRUE(Message(hosts.status()).starts_with("hosts.toml:")) << hosts.status();
  }
}

class FindHostsTest : public testing::Test {
 protected:
  std::string Directory(const std::string& name) {
    const std::string directory = dir_.path() + "/" + name;
    std::filesystem::create_directories(directory);
    return directory + "/";
  }
  static void Write(const std::string& file, const std::string& text) {
    std::ofstream(file) << text;
  }
  std::string MirrorOf(const std::string& host) {
    const auto hosts = FindHostsToml({dir_.path()}, host);
    EXPECT_TRUE(hosts.ok()) << hosts.status();
    return hosts.ok() && *hosts && !(*hosts)->mirrors.empty() ? (*hosts)->mirrors[0].host : "";
  }
  TempDir dir_;
};

TEST_F(FindHostsTest, ByHostByHostWithUnderscoresElseDefault) {
  EXPECT_EQ(MirrorOf("r.example"), "");
  Write(Directory("r.example") + "hosts.toml", "[host.'https://one.example']");
  Write(Directory("r.example_5000_") + "hosts.toml", "[host.'https://two.example']");
  EXPECT_EQ(MirrorOf("r.example"), "one.example");
  EXPECT_EQ(MirrorOf("r.example:5000"), "two.example");
  EXPECT_EQ(MirrorOf("q.example"), "");
  Write(Directory("_default") + "hosts.toml", "[host.'https://all.example']");
  EXPECT_EQ(MirrorOf("q.example"), "all.example");
  EXPECT_EQ(MirrorOf("r.example"), "one.example");
  EXPECT_EQ(MirrorOf("../r.example"), "");
}

TEST_F(FindHostsTest, WithoutAFileTheCertificatesCount) {
  Write(Directory("r.example") + "ca.crt", "-----BEGIN X-----\n");
  const auto hosts = FindHostsToml({dir_.path()}, "r.example");
  ASSERT_TRUE(hosts.ok()) << hosts.status();
  ASSERT_TRUE(hosts->has_value());
  EXPECT_EQ((*hosts)->server->tls->ca, "-----BEGIN X-----\n\n");
}

TEST_F(FindHostsTest, AMissingCertificateIsNamed) {
  Write(Directory("r.example") + "hosts.toml", "[host.'https://one.example']\nca = 'gone.pem'");
  const auto hosts = FindHostsToml({dir_.path()}, "r.example");
  EXPECT_EQ(hosts.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(hosts.status()), HasSubstr("gone.pem"));
}

}  // namespace
}  // namespace davit::image
