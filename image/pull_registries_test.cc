// SPDX-License-Identifier: Apache-2.0
//
// Pulls by registries.conf, hosts.toml, auth files and credential helpers.
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "image/pull_fixture.h"

namespace davit::image {
namespace {

using Strings = std::vector<std::string>;

class PullRegistriesTest : public PullFixture {
 protected:
  PullRegistriesTest() { registry_.Add("app", "1", image_); }

  void Conf(const std::string& text) {
    std::ofstream(config_.registries_conf) << text;
    MakePuller();
  }
  FakeImage image_ = MakeImage({Tar({{"a", "1"}})});
};

TEST_F(PullRegistriesTest, BlockedLocationAndMirrors) {
  FakeRegistry mirror;
  mirror.Add("cache/app", "1", image_);
  Conf(fmt::format(R"(
[[registry]]
location = "blocked.example"
blocked = true
[[registry]]
prefix = "moved.example/team"
location = "{0}"
[[registry]]
prefix = "cached.example"
location = "{0}"
[[registry.mirror]]
location = "{1}/cache"
)",
                   registry_.host(), mirror.host()));
  ExpectFailure(Pull("blocked.example/app:1"), absl::StatusCode::kPermissionDenied,
                {"blocked.example is blocked by", "registries.conf:2"});
  const auto moved = Pull("moved.example/team/app:1");
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_TRUE(moved->reference.starts_with("moved.example/team/app@sha256:")) << moved->reference;
  ASSERT_TRUE(storage_->RemoveImage(image_.id()).ok());
  registry_.TakeRequests();
  const auto cached = Pull("cached.example/app:1");
  ASSERT_TRUE(cached.ok()) << cached.status();
  EXPECT_EQ(registry_.TakeRequests(), Strings{}) << "the mirror has it all";
  EXPECT_FALSE(mirror.TakeRequests().empty());
}

TEST_F(PullRegistriesTest, ShortNamesAreTriedInOrder) {
  FakeRegistry empty;
  Conf(fmt::format("unqualified-search-registries = ['{}', '{}']\nshort-name-mode = 'permissive'\n",
                   empty.host(), registry_.host()));
  const auto result = Pull("app:1");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->reference.starts_with(registry_.host() + "/app@")) << result->reference;
  EXPECT_EQ(puller_->Names("app:1")->size(), 2U);
  ExpectFailure(Pull("none:1"), absl::StatusCode::kNotFound, {empty.host(), registry_.host()});
}

TEST_F(PullRegistriesTest, InsecureSpeaksPlainHttpWhereThereIsNoTls) {
  Conf(fmt::format("[[registry]]\nlocation = '{}'\ninsecure = true\n", registry_.host()));
  const auto result = Pull(Name("/app:1"));
  EXPECT_TRUE(result.ok()) << result.status();
}

TEST_F(PullRegistriesTest, HostsTomlMirrorIsToldTheNamespaceAndGetsItsHeaders) {
  FakeRegistry mirror;
  mirror.Add("app", "1", image_);
  const std::string directory = config_.hosts_dirs[0] + "/r.example";
  std::filesystem::create_directories(directory);
  std::ofstream(directory + "/hosts.toml") << fmt::format(
      "[host.'http://{}']\nheader = {{ authorization = 'Basic b3duOm93bg==' }}\n", mirror.host());
  // A header is for its host, not for where that leads.
  mirror.Inject("/blobs/", 100, [&](const FakeRequest& request, FakeResponse& r) {
    r = {.status = 307, .headers = {{"Location", "http://" + registry_.host() + request.target}}};
  });
  const auto result = Pull("r.example/app:1");
  ASSERT_TRUE(result.ok()) << result.status();
  const Strings requests = mirror.TakeRequests();
  ASSERT_FALSE(requests.empty());
  EXPECT_NE(requests[0].find("?ns=r.example"), std::string::npos) << requests[0];
  EXPECT_EQ(mirror.authorizations().at(0), "Basic b3duOm93bg==");
  EXPECT_EQ(registry_.authorizations(), Strings{});
}

TEST_F(PullRegistriesTest, MirrorsNeverSeeTheRequestsCredentials) {
  FakeRegistry mirror;
  mirror.Add("app", "1", image_);
  mirror.RequireBasic("user", "hunter2");
  registry_.RequireBasic("user", "hunter2");
  Conf(fmt::format("[[registry]]\nlocation = '{}'\n[[registry.mirror]]\nlocation = '{}'\n",
                   registry_.host(), mirror.host()));
  const auto result = Pull(Name("/app:1"), {.username = "user", .password = "hunter2"});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(mirror.authorizations(), Strings{});
}

TEST_F(PullRegistriesTest, NamespacedAuthFileServesOnePull) {
  registry_.RequireToken("user", "hunter2");
  std::filesystem::create_directory(config_.namespaced_auth_dir);
  const std::string file = fmt::format("{}/ns-{}.json", config_.namespaced_auth_dir,
                                       Digest::Sha256Of(registry_.host() + "/app").hex());
  std::ofstream(file) << fmt::format(R"({{"auths": {{"{}": {{"auth": "dXNlcjpodW50ZXIy"}}}}}})",
                                     registry_.host());
  Context ctx(std::chrono::seconds(30));
  const PullRequest request = {.name = Name("/app:1"), .pod_namespace = "ns"};
  const auto other = puller_->Pull(ctx, {.name = Name("/app:1"), .pod_namespace = "x"}, nullptr);
  EXPECT_EQ(other.status().code(), absl::StatusCode::kUnauthenticated) << other.status();
  const auto first = puller_->Pull(ctx, request, nullptr);
  EXPECT_TRUE(first.ok()) << first.status();
  EXPECT_FALSE(std::filesystem::exists(file));
  const auto second = puller_->Pull(ctx, {.name = Name("/app:2"), .pod_namespace = "ns"}, nullptr);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnauthenticated) << second.status();
}

TEST_F(PullRegistriesTest, CredentialHelperOfTheAuthFile) {
  registry_.RequireToken("user", "hunter2");
  const std::string helper = dir_.path() + "/docker-credential-davit-test";
  std::ofstream(helper) << "#!/bin/sh\ncat >/dev/null\n"
                           "echo '{\"Username\":\"user\",\"Secret\":\"hunter2\"}'\n";
  chmod(helper.c_str(), 0755);
  const std::string path = getenv("PATH");
  setenv("PATH", (dir_.path() + ":" + path).c_str(), 1);
  config_.auth_file = dir_.path() + "/auth.json";
  std::ofstream(config_.auth_file)
      << fmt::format(R"({{"credHelpers": {{"{}": "davit-test"}}}})", registry_.host());
  MakePuller();
  const auto result = Pull(Name("/app:1"));
  EXPECT_TRUE(result.ok()) << result.status();
  std::ofstream(helper) << "#!/bin/sh\necho hunter2; exit 1\n";
  const auto failed = Pull(Name("/app:2"));
  ExpectFailure(failed, absl::StatusCode::kFailedPrecondition, {"docker-credential-davit-test"});
  EXPECT_EQ(failed.status().ToString().find("hunter2"), std::string::npos);
  setenv("PATH", path.c_str(), 1);
}

TEST_F(PullRegistriesTest, AMistakeStopsTheStartAndALaterOneChangesNothing) {
  Conf(fmt::format("[aliases]\nshort = '{}/app'\n", registry_.host()));
  ASSERT_TRUE(puller_->reload_error().ok());
  std::ofstream(config_.registries_conf) << "\n[[registry]\n";
  EXPECT_EQ(puller_->Reload().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(puller_->reload_error().ToString().find("registries.conf:2: "), std::string::npos);
  const auto result = Pull("short:1");
  EXPECT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(Puller::Create(config_, *storage_, *policy_, *executor_).ok());
  EXPECT_FALSE(CheckRegistries(config_).ok());
  std::filesystem::remove(config_.registries_conf);
  EXPECT_TRUE(puller_->Reload().ok());
  EXPECT_TRUE(puller_->reload_error().ok());
}

}  // namespace
}  // namespace davit::image
