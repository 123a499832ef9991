// SPDX-License-Identifier: Apache-2.0
#include "image/auth/auth_file.h"

#include <fstream>

#include <gtest/gtest.h>

#include "image/auth/login.h"
#include "image/test_util.h"

namespace davit::image {
namespace {

AuthFile Must(const std::string& text) {
  auto file = ParseAuthFile(text, "auth.json");
  EXPECT_TRUE(file.ok()) << file.status();
  return file.value_or(AuthFile());
}

TEST(AuthFileTest, LongestKeyCounts) {
  const AuthFile file = Must(R"({"auths": {
    "quay.example": {"username": "host", "password": "1"},
    "quay.example/team": {"username": "team", "password": "2"},
    "quay.example/team/app": {"username": "app", "password": "3"},
    "https://index.docker.io/v1/": {"auth": "aHViOnB3"},
    "tok.example": {"identitytoken": "refresh"}}})");
  EXPECT_EQ(file.Find("quay.example/other/app").username, "host");
  EXPECT_EQ(file.Find("quay.example/team/other").username, "team");
  EXPECT_EQ(file.Find("quay.example/team/app").username, "app");
  EXPECT_EQ(file.Find("quay.example/teamx/app").username, "host");
  EXPECT_EQ(LoginOf(file.Find("docker.io/library/busybox"))->username, "hub");
  EXPECT_EQ(file.Find("tok.example/a").identity_token, "refresh");
  EXPECT_TRUE(file.Find("quay.example.evil/team/app").empty());
  EXPECT_TRUE(file.Find("quay.example:5000/team/app").empty());
}

TEST(AuthFileTest, HelpersByHostOrPathElseTheStore) {
  const AuthFile file = Must(R"({"credHelpers": {"gcr.example": "cloud", "gcr.example/own": "own"},
                                 "credsStore": "store", "auths": {"x.example": {}}})");
  EXPECT_EQ(file.HelperFor("gcr.example/a"), "cloud");
  EXPECT_EQ(file.HelperFor("gcr.example/own/a"), "own");
  EXPECT_EQ(file.HelperFor("x.example/a"), "store");
  EXPECT_TRUE(file.Find("x.example/a").empty());
  EXPECT_EQ(Must("{}").HelperFor("x.example/a"), "");
}

TEST(AuthFileTest, NoFileIsNoCredentials) {
  const TempDir dir;
  EXPECT_TRUE(ReadAuthFile("")->Find("a.example/b").empty());
  EXPECT_TRUE(ReadAuthFile(dir.path() + "/none")->Find("a.example/b").empty());
  for (const char* text :
       {"{}", R"({"auths": null})", R"({"auths": {"a.example": null}})",
        R"({"auths": {"a.example": {"username": 7}}})", R"({"auths": {"": {"username": "x"}}})"}) {
    EXPECT_TRUE(Must(text).Find("a.example/b").empty()) << text;
  }
}

TEST(AuthFileTest, BadFileIsNamedAndNotQuoted) {
  for (const char* text :
       {R"({"auths": hunter2)", R"(["hunter2"])", R"({"credHelpers": {"a": 7}})", R"("hunter2")"}) {
    const auto file = ParseAuthFile(text, "/etc/auth.json");
    ASSERT_FALSE(file.ok()) << text;
    EXPECT_EQ(file.status().code(), absl::StatusCode::kFailedPrecondition);
    const std::string message(file.status().message());
    EXPECT_NE(message.find("/etc/auth.json"), std::string::npos) << message;
    EXPECT_EQ(message.find("hunter2"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace davit::image
