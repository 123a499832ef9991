// SPDX-License-Identifier: Apache-2.0
#include "image/auth/lookup.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/digest.h"
#include "image/auth/namespaced_auth.h"
#include "image/test_util.h"

namespace davit::image {
namespace {

class LookupTest : public testing::Test {
 protected:
  LookupTest() {
    config_.namespaced_auth_dir = dir_.path() + "/auth";
    std::filesystem::create_directory(config_.namespaced_auth_dir);
  }

  std::string NamespacedFile(const std::string& pod_namespace) const {
    return fmt::format("{}/{}-{}.json", config_.namespaced_auth_dir, pod_namespace,
                       Digest::Sha256Of(reference_.repository()).hex());
  }
  static std::string Auths(const std::string& key, const std::string& user) {
    return fmt::format(R"({{"auths": {{"{}": {{"username": "{}", "password": "p"}}}}}})", key,
                       user);
  }
  static void Write(const std::string& file, const std::string& text) {
    std::ofstream(file) << text;
  }

  // The user name found for the image's own registry, or for a mirror.
  std::string UserFor(const PullRequest& request, bool mirror = false) {
    auto lookup = CredentialLookup::Create(request, reference_, conf_, config_);
    EXPECT_TRUE(lookup.ok()) << lookup.status();
    Endpoint endpoint;
    endpoint.mirror = mirror;
    endpoint.auth_name = mirror ? "mirror.example/team/app" : "r.example/team/app";
    auto found = lookup->For(ctx_, endpoint);
    EXPECT_TRUE(found.ok()) << found.status();
    return found->username;
  }

  Context ctx_;
  TempDir dir_;
  RegistriesConf conf_;
  config::Image config_;
  const Reference reference_ = *Reference::Parse("r.example/team/app:1");
};

TEST_F(LookupTest, OwnThenNamespaceThenNode) {
  config_.auth_file = dir_.path() + "/node.json";
  Write(config_.auth_file, Auths("r.example", "node"));
  const PullRequest request = {.name = "", .pod_namespace = "ns"};
  EXPECT_EQ(UserFor(request), "node");
  Write(NamespacedFile("ns"), Auths("r.example/team", "namespace"));
  EXPECT_EQ(UserFor({.name = "", .pod_namespace = "other"}), "node");
  EXPECT_EQ(UserFor(request), "namespace");
  EXPECT_EQ(UserFor(request), "node") << "the file is for one pull";
  const Credentials own = {.username = "own", .password = "p"};
  EXPECT_EQ(UserFor({.name = "", .credentials = own}), "own");
}

TEST_F(LookupTest, TheRequestsOwnAreForItsRegistryOnly) {
  Credentials own = {.username = "own", .password = "p"};
  EXPECT_EQ(UserFor({.name = "", .credentials = own}, true), "");
  for (const char* address : {"r.example", "https://r.example/v2/", "r.example/"}) {
    own.server_address = address;
    EXPECT_EQ(UserFor({.name = "", .credentials = own}), "own") << address;
  }
  for (const char* address : {"other.example", "https://index.docker.io/v1/", "r.example:5000"}) {
    own.server_address = address;
    EXPECT_EQ(UserFor({.name = "", .credentials = own}), "") << address;
  }
}

TEST_F(LookupTest, MirrorsHaveTheirEntryInTheFiles) {
  Write(NamespacedFile("ns"), Auths("mirror.example", "mirror"));
  EXPECT_EQ(UserFor({.name = "", .pod_namespace = "ns"}, true), "mirror");
}

TEST_F(LookupTest, NamespacedFilesAreGoneWhateverTheyHold) {
  const std::string file = NamespacedFile("ns");
  Write(file, "{hunter2");
  const auto taken = TakeNamespacedAuth(config_.namespaced_auth_dir, "ns", reference_.repository());
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.status().ToString().find("hunter2"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_TRUE(std::filesystem::is_empty(config_.namespaced_auth_dir + "/in-use"));
}

TEST_F(LookupTest, NamespacesAreNoPaths) {
  for (const char* name : {"", "..", "../auth/ns", "a/b", ".hidden"}) {
    const auto taken =
        TakeNamespacedAuth(config_.namespaced_auth_dir, name, reference_.repository());
    ASSERT_TRUE(taken.ok()) << taken.status();
    EXPECT_FALSE(taken->has_value()) << name;
  }
}

TEST_F(LookupTest, WhatACrashLeftIsSwept) {
  std::filesystem::create_directory(config_.namespaced_auth_dir + "/in-use");
  Write(config_.namespaced_auth_dir + "/in-use/x.json", "{}");
  ASSERT_TRUE(SweepNamespacedAuth(config_.namespaced_auth_dir).ok());
  EXPECT_FALSE(std::filesystem::exists(config_.namespaced_auth_dir + "/in-use"));
  EXPECT_TRUE(SweepNamespacedAuth(config_.namespaced_auth_dir + "/none").ok());
  EXPECT_TRUE(SweepNamespacedAuth("").ok());
}

TEST_F(LookupTest, ATokenThatIsNoneIsRefused) {
  const PullRequest request = {.name = "", .credentials = {.registry_token = "x\r\nHost: evil"}};
  EXPECT_EQ(CredentialLookup::Create(request, reference_, conf_, config_).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace davit::image
