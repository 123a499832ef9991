// SPDX-License-Identifier: Apache-2.0
#include "image/auth.h"

#include <unistd.h>

#include <fstream>

#include <gtest/gtest.h>

#include "image/test_util.h"

namespace davit::image {
namespace {

TEST(LoginTest, ComesFromFieldsOrFromBase64) {
  EXPECT_EQ(LoginOf({.username = "u", .password = "p"})->password, "p");
  const auto login = LoginOf({.auth = "dXNlcjpwYTpzcw=="});  // user:pa:ss
  ASSERT_TRUE(login.ok()) << login.status();
  EXPECT_EQ(login->username, "user");
  EXPECT_EQ(login->password, "pa:ss");
  EXPECT_EQ(BasicHeader(*login), "Basic dXNlcjpwYTpzcw==");
  EXPECT_EQ(LoginOf({.auth = "dTpwAAAA"})->password, "p");  // padded with zero bytes
  EXPECT_TRUE(LoginOf({})->username.empty());
}

TEST(LoginTest, BadBase64IsRefusedWithoutBeingShown) {
  for (const char* auth : {"secret!", "c2VjcmV0"}) {  // not base64; "secret" without a colon
    const auto login = LoginOf({.auth = auth});
    ASSERT_FALSE(login.ok());
    EXPECT_EQ(login.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(std::string(login.status().message()).find(auth), std::string::npos);
  }
}

TEST(FingerprintTest, TellsCredentialsApartAndShowsNone) {
  EXPECT_EQ(Fingerprint({}), "");
  const std::string one = Fingerprint({.username = "ab", .password = "c"});
  EXPECT_NE(one, Fingerprint({.username = "a", .password = "bc"}));
  EXPECT_EQ(one, Fingerprint({.username = "ab", .password = "c"}));
  EXPECT_EQ(one.size(), 64U);
}

class AuthFileTest : public testing::Test {
 protected:
  std::string Write(const std::string& text) {
    const std::string path = dir_.path() + "/auth.json";
    std::ofstream(path) << text;
    return path;
  }
  TempDir dir_;
};

TEST_F(AuthFileTest, LongestKeyCounts) {
  const std::string file = Write(R"({"auths": {
    "quay.example": {"username": "host", "password": "1"},
    "quay.example/team": {"username": "team", "password": "2"},
    "quay.example/team/app": {"username": "app", "password": "3"},
    "https://index.docker.io/v1/": {"auth": "aHViOnB3"},
    "tok.example": {"identitytoken": "refresh"}}})");
  EXPECT_EQ(FromAuthFile(file, "quay.example", "other/app")->username, "host");
  EXPECT_EQ(FromAuthFile(file, "quay.example", "team/other")->username, "team");
  EXPECT_EQ(FromAuthFile(file, "quay.example", "team/app")->username, "app");
  EXPECT_EQ(FromAuthFile(file, "quay.example", "teamx/app")->username, "host");
  EXPECT_EQ(LoginOf(*FromAuthFile(file, "docker.io", "library/busybox"))->username, "hub");
  EXPECT_EQ(FromAuthFile(file, "tok.example", "a")->identity_token, "refresh");
  EXPECT_TRUE(FromAuthFile(file, "quay.example.evil", "team/app")->empty());
  EXPECT_TRUE(FromAuthFile(file, "quay.example:5000", "team/app")->empty());
}

TEST_F(AuthFileTest, NoFileIsNoCredentials) {
  EXPECT_TRUE(FromAuthFile("", "a.example", "b")->empty());
  EXPECT_TRUE(FromAuthFile(dir_.path() + "/none", "a.example", "b")->empty());
  EXPECT_TRUE(FromAuthFile(Write("{}"), "a.example", "b")->empty());
  EXPECT_TRUE(FromAuthFile(Write(R"({"auths": null})"), "a.example", "b")->empty());
  EXPECT_TRUE(FromAuthFile(Write(R"({"auths": {"a.example": null}})"), "a.example", "b")->empty());
  EXPECT_TRUE(FromAuthFile(Write(R"({"auths": {"a.example": {"username": 7}}})"), "a.example", "b")
                  ->empty());
}

TEST_F(AuthFileTest, BadFileIsNamedAndNotQuoted) {
  const auto found = FromAuthFile(Write(R"({"auths": hunter2)"), "a.example", "b");
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.status().code(), absl::StatusCode::kFailedPrecondition);
  const std::string message(found.status().message());
  EXPECT_NE(message.find("auth.json"), std::string::npos);
  EXPECT_EQ(message.find("hunter2"), std::string::npos);
}

}  // namespace
}  // namespace davit::image
