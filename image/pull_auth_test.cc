// SPDX-License-Identifier: Apache-2.0
//
// Who gets credentials, and who does not.
#include <fstream>

#include <fmt/format.h>

#include "image/pull_fixture.h"

namespace davit::image {
namespace {

using Strings = std::vector<std::string>;

const Credentials kGood = {.username = "user", .password = "hunter2"};
const Credentials kBad = {.username = "user", .password = "wrong-hunter"};

class PullAuthTest : public PullFixture {
 protected:
  PullAuthTest() { registry_.Add("app", "1", image_); }

  const FakeImage image_ = MakeImage({Tar({{"a", Noise(100000, 1)}}), Tar({{"b", "1"}})});
};

TEST_F(PullAuthTest, BearerTokenIsFetchedOnce) {
  registry_.RequireToken("user", "hunter2");
  const auto result = Pull(Name("/app:1"), kGood);
  ASSERT_TRUE(result.ok()) << result.status();
  size_t tokens = 0;
  for (const std::string& request : registry_.TakeRequests()) {
    if (request.starts_with("GET /token")) {
      ++tokens;
      EXPECT_EQ(request, "GET /token?service=fake&scope=repository%3Ax%3Apull");
    }
  }
  EXPECT_EQ(tokens, 1U);
}

TEST_F(PullAuthTest, IdentityTokenIsExchanged) {
  registry_.RequireToken("user", "hunter2");
  EXPECT_TRUE(Pull(Name("/app:1"), {.identity_token = "refresh-me"}).ok());
}

TEST_F(PullAuthTest, RegistryTokenIsUsedAsItIs) {
  registry_.RequireToken("user", "hunter2");
  EXPECT_TRUE(Pull(Name("/app:1"), {.registry_token = "good-token"}).ok());
  ExpectFailure(Pull(Name("/app2:1"), {.registry_token = "bad-token"}),
                absl::StatusCode::kUnauthenticated, {"401"});
  ExpectFailure(Pull(Name("/app:1"), {.registry_token = "x\r\nHost: evil"}),
                absl::StatusCode::kInvalidArgument, {"token"});
}

TEST_F(PullAuthTest, BasicWithFieldsAndWithBase64) {
  registry_.RequireBasic("user", "hunter2");
  EXPECT_TRUE(Pull(Name("/app:1"), {.auth = "dXNlcjpodW50ZXIy"}).ok());
  registry_.Add("app", "2", MakeImage({Tar({{"c", "1"}})}));
  EXPECT_TRUE(Pull(Name("/app:2"), kGood).ok());
}

TEST_F(PullAuthTest, WrongCredentialsAreUnauthenticatedAndNotShown) {
  for (const bool token : {true, false}) {
    token ? registry_.RequireToken("user", "hunter2") : registry_.RequireBasic("user", "hunter2");
    for (const Credentials& credentials : {kBad, Credentials{}}) {
      const auto result = Pull(Name("/app:1"), credentials);
      ExpectFailure(result, absl::StatusCode::kUnauthenticated, {Name("/app:1")});
      EXPECT_EQ(result.status().ToString().find("hunter"), std::string::npos);
    }
    const auto result = Pull(Name("/app:1"), {.auth = "!!!hunter"});
    ExpectFailure(result, absl::StatusCode::kInvalidArgument, {"base64"});
    EXPECT_EQ(result.status().ToString().find("hunter"), std::string::npos);
  }
  ExpectNothingLeft();
  EXPECT_TRUE(Pull(Name("/app:1"), kGood).ok());
}

TEST_F(PullAuthTest, ForbiddenIsPermissionDenied) {
  registry_.Inject("/manifests/", 10, [](const FakeRequest&, FakeResponse& r) {
    r = {.status = 403, .body = R"({"errors": [{"code": "DENIED", "message": "no access"}]})"};
  });
  ExpectFailure(Pull(Name("/app:1")), absl::StatusCode::kPermissionDenied, {"DENIED: no access"});
}

TEST_F(PullAuthTest, AuthFileServesRequestsWithoutCredentials) {
  registry_.RequireToken("user", "hunter2");
  config_.auth_file = dir_.path() + "/auth.json";
  std::ofstream(config_.auth_file)
      << fmt::format(R"({{"auths": {{"{}": {{"auth": "dXNlcjpodW50ZXIy"}}}}}})", registry_.host());
  MakePuller();
  EXPECT_TRUE(Pull(Name("/app:1")).ok());
  std::ofstream(config_.auth_file) << "{";
  ExpectFailure(Pull(Name("/app:2")), absl::StatusCode::kFailedPrecondition, {"auth.json"});
}

TEST_F(PullAuthTest, ExpiredTokenIsRenewed) {
  registry_.RequireToken("user", "hunter2");
  registry_.Inject("/blobs/" + image_.layer(0).text(), 1, [&](const FakeRequest&, FakeResponse& r) {
    r = {.status = 401,
         .headers = {
             {"WWW-Authenticate", "Bearer realm=\"http://" + registry_.host() + "/token\""}}};
  });
  const auto result = Pull(Name("/app:1"), kGood);
  ASSERT_TRUE(result.ok()) << result.status();
}

TEST_F(PullAuthTest, RedirectToAnotherHostCarriesNoCredentials) {
  for (const bool token : {true, false}) {
    FakeRegistry other;
    const FakeImage image = MakeImage({Tar({{"x", token ? "1" : "2"}})});
    registry_.Add("far", "1", image);
    other.Add("far", "1", image);
    token ? registry_.RequireToken("user", "hunter2") : registry_.RequireBasic("user", "hunter2");
    registry_.ClearFaults();
    registry_.Inject("/blobs/", 100, [&](const FakeRequest& request, FakeResponse& r) {
      if (r.status == 200) {
        r = {.status = 307, .headers = {{"Location", "http://" + other.host() + request.target}}};
      }
    });
    const auto result = Pull(Name("/far:1"), kGood);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(other.TakeRequests().size(), 2U);
    EXPECT_EQ(other.authorizations(), Strings{});
    ASSERT_TRUE(storage_->RemoveImage(image.id()).ok());
  }
}

TEST_F(PullAuthTest, ChallengeOfARedirectTargetIsNotAnswered) {
  FakeRegistry other;
  other.RequireBasic("user", "hunter2");
  registry_.RequireBasic("user", "hunter2");
  registry_.Inject("/blobs/", 100, [&](const FakeRequest& request, FakeResponse& r) {
    r = {.status = 302, .headers = {{"Location", "http://" + other.host() + request.target}}};
  });
  ExpectFailure(Pull(Name("/app:1"), kGood), absl::StatusCode::kUnauthenticated, {});
  EXPECT_EQ(other.authorizations(), Strings{});
  ExpectNothingLeft();
}

TEST_F(PullAuthTest, RedirectBackFromAnotherHostCarriesNoCredentialsEither) {
  FakeRegistry other;
  registry_.RequireBasic("user", "hunter2");
  registry_.Inject("/blobs/", 1, [&](const FakeRequest&, FakeResponse& r) {
    r = {.status = 302, .headers = {{"Location", "http://" + other.host() + "/bounce"}}};
  });
  other.Inject("/bounce", 1, [&](const FakeRequest&, FakeResponse& r) {
    r = {.status = 302,
         .headers = {{"Location", "http://" + registry_.host() + "/v2/secret/blobs/x"}}};
  });
  ExpectFailure(Pull(Name("/app:1"), kGood), absl::StatusCode::kUnauthenticated, {});
}

TEST_F(PullAuthTest, RealmElsewhereInPlainHttpGetsNothing) {
  registry_.Inject("/manifests/", 10, [](const FakeRequest&, FakeResponse& r) {
    r = {.status = 401,
         .headers = {{"WWW-Authenticate", "Bearer realm=\"http://192.0.2.1/token\""}}};
  });
  ExpectFailure(Pull(Name("/app:1"), kGood), absl::StatusCode::kUnauthenticated,
                {"192.0.2.1", "insecure_registries"});
}

TEST_F(PullAuthTest, OddChallengesAreUnauthenticated) {
  for (const char* challenge : {"", "Bearer", "Bearer realm=\"\"", "Bearer realm=\"ftp://x/\"",
                                "Bearer realm=\"http://u:p@127.0.0.1/\"", "Negotiate", "\"\"\"",
                                "Bearer realm=\"file:///etc/passwd\""}) {
    registry_.ClearFaults();
    registry_.Inject("/manifests/", 10, [challenge](const FakeRequest&, FakeResponse& r) {
      r = {.status = 401, .headers = {{"WWW-Authenticate", challenge}}};
    });
    ExpectFailure(Pull(Name("/app:1"), kGood), absl::StatusCode::kUnauthenticated, {});
  }
  ExpectNothingLeft();
  ExpectGoodPullWorks();
}

TEST_F(PullAuthTest, OddAnswersOfTheTokenServiceAreUnauthenticated) {
  registry_.RequireToken("user", "hunter2");
  for (const char* body : {"", "{", "[]", "{}", R"({"token": null})", R"({"token": ["x"]})",
                           R"({"token": "a b"})", R"({"token": "a\r\nX: y"})"}) {
    registry_.ClearFaults();
    registry_.Inject("/token", 10,
                     [body](const FakeRequest&, FakeResponse& r) { r = {.body = body}; });
    ExpectFailure(Pull(Name("/app:1"), kGood), absl::StatusCode::kUnauthenticated, {"token"});
  }
  registry_.ClearFaults();
  registry_.Inject("/token", 100, [](const FakeRequest&, FakeResponse& r) { r = {.status = 503}; });
  ExpectFailure(Pull(Name("/app:1"), kGood), absl::StatusCode::kUnavailable, {"503"});
}

TEST_F(PullAuthTest, AnotherPullersWrongPasswordDoesNotRideOnAGoodOne) {
  registry_.RequireBasic("user", "hunter2");
  ASSERT_TRUE(Pull(Name("/app:1"), kGood).ok());
  registry_.Add("private", "1", MakeImage({Tar({{"p", "1"}})}));
  ExpectFailure(Pull(Name("/private:1"), kBad), absl::StatusCode::kUnauthenticated, {});
}

TEST_F(PullAuthTest, ForeignLayerIsAskedForWithoutCredentials) {
  FakeRegistry elsewhere;
  elsewhere.RequireBasic("user", "hunter2");
  registry_.RequireBasic("user", "hunter2");
  FakeImage image = MakeImage({Tar({{"f", "1"}})});
  image.layers[0].media_type = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
  image.layers[0].urls = "[\"http://" + elsewhere.host() + "/layer\"]";
  UpdateManifest(image);
  registry_.Add("foreign", "1", image);
  // The image's author may not send the node to its own plain services.
  ExpectFailure(Pull(Name("/foreign:1"), kGood), absl::StatusCode::kFailedPrecondition,
                {"nondistributable", "plain http"});
  EXPECT_EQ(elsewhere.TakeRequests(), Strings{});

  config_.insecure_registries = {elsewhere.host()};
  MakePuller();
  ExpectFailure(Pull(Name("/foreign:1"), kGood), absl::StatusCode::kFailedPrecondition,
                {"nondistributable", "401"});
  EXPECT_EQ(elsewhere.authorizations(), Strings{});
  elsewhere.Inject("/layer", 10,
                   [bytes = image.layers[0].bytes](const FakeRequest&, FakeResponse& r) {
                     r = {.body = bytes};
                   });
  const auto result = Pull(Name("/foreign:1"), kGood);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(elsewhere.authorizations(), Strings{});
}

}  // namespace
}  // namespace davit::image
