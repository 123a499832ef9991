// SPDX-License-Identifier: Apache-2.0
//
// Names, mirrors and credentials by the files of a node, seen from the kubelet's side.

#include <signal.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"
#include "test/e2e/fixture.h"

namespace davit::e2e {
namespace {

using Code = absl::StatusCode;

// bcrypt of "secret"
constexpr char kHash[] = "$2b$04$E11J3jjsTwTJmobVqJ/SNOIw82pRtghlk8rEnclCYmOIzbcv/kfye";

class RegistryConfigTest : public E2eTest {
 protected:
  absl::StatusOr<v1::PullImageResponse> TryPull(const std::string& image,
                                                const std::string& pod_namespace = "") {
    v1::PullImageRequest request;
    request.mutable_image()->set_image(image);
    request.mutable_sandbox_config()->mutable_metadata()->set_namespace_(pod_namespace);
    return client().PullImage(request);
  }
  bool IsHere(const std::string& name) {
    v1::ImageStatusRequest request;
    request.mutable_image()->set_image(name);
    return Must(client().ImageStatus(request)).has_image();
  }
  void Conf(const std::string& text) {
    Must(WriteFileAtomic(daemon().dir() + "/registries.conf", text, 0644));
  }
  std::string Info() {
    v1::StatusRequest request;
    request.set_verbose(true);
    return Must(client().Status(request)).info().at("info");
  }
};

TEST_F(RegistryConfigTest, ChangesCountAtOnceAndMistakesChangeNothing) {
  registry().Image("busybox");
  ExpectError(TryPull("moved.invalid/busybox:latest").status(), Code::kUnknown, "moved.invalid");
  Conf(
      "[[registry]]\nprefix = 'moved.invalid'\nlocation = '127.0.0.1:5000'\n"
      "[[registry]]\nlocation = 'blocked.invalid'\nblocked = true\n"
      "[aliases]\nbox = 'moved.invalid/busybox'\n");
  EXPECT_TRUE(Eventually(
      [&] { return TryPull("blocked.invalid/x").status().code() == Code::kPermissionDenied; }));
  Must(TryPull("moved.invalid/busybox:latest"));
  Conf("[[registry]]\n");
  EXPECT_TRUE(Eventually(
      [&] { return Info().find("registries.conf:1: [[registry]] has") != std::string::npos; }));
  Must(TryPull("box"));
  EXPECT_TRUE(IsHere("box"));
  EXPECT_TRUE(IsHere("moved.invalid/busybox"));
  Conf("");
  ASSERT_EQ(kill(daemon().pid(), SIGHUP), 0);
  EXPECT_TRUE(Eventually([&] { return Info().find("registriesError") == std::string::npos; }));
  EXPECT_FALSE(IsHere("box"));
}

TEST_F(RegistryConfigTest, AMistakeAtTheStartEndsItClearly) {
  daemon().Stop();
  Conf("\nshort-name-mode = 'sometimes'\n");
  const RunResult result = daemon().RunToEnd({.drop_in = {}, .failpoints = {}});
  EXPECT_NE(result.exit.code, 0);
  EXPECT_NE(result.err.find("registries.conf:2: short-name-mode 'sometimes'"), std::string::npos)
      << result.err;
  Conf("");
  StartDaemon({.drop_in = {}, .failpoints = {}});
}

TEST_F(RegistryConfigTest, AuthFileOfANamespaceIsForOnePull) {
  TestRegistry guarded({.port = 5998,
                        .user = "captain",
                        .password_hash = kHash,
                        .password = "secret",
                        .tls = false});
  const std::string name = guarded.Image("busybox");
  const std::string file = fmt::format("{}/auth/team-{}.json", daemon().dir(),
                                       Digest::Sha256Of(name.substr(0, name.rfind(':'))).hex());
  Must(MakeDirs(daemon().dir() + "/auth"));
  Must(WriteFileAtomic(
      file, R"({"auths": {"127.0.0.1:5998": {"username": "captain", "password": "secret"}}})"));
  ExpectError(TryPull(name, "other").status(), Code::kUnauthenticated, "127.0.0.1:5998");
  EXPECT_TRUE(PathExists(file));
  Must(TryPull(name, "team"));
  EXPECT_FALSE(PathExists(file));
  EXPECT_EQ(daemon().Log().find("secret"), std::string::npos);
}

TEST_F(RegistryConfigTest, MirrorWithItsOwnLogin) {
  TestRegistry guarded({.port = 5997,
                        .user = "captain",
                        .password_hash = kHash,
                        .password = "secret",
                        .tls = false});
  guarded.ImageAs("busybox", "cache/busybox", "latest");
  Must(WriteFileAtomic(
      daemon().dir() + "/auth.json",
      R"({"auths": {"127.0.0.1:5997/cache": {"username": "captain", "password": "secret"}}})"));
  Conf(
      "[[registry]]\nlocation = 'origin.invalid'\n[[registry.mirror]]\n"
      "location = '127.0.0.1:5997/cache'\n");
  ASSERT_EQ(kill(daemon().pid(), SIGHUP), 0);
  EXPECT_TRUE(Eventually([&] { return TryPull("origin.invalid/busybox:latest").ok(); }));
  EXPECT_TRUE(IsHere("origin.invalid/busybox:latest"));
}

TEST_F(RegistryConfigTest, SpeaksHttp2WithARegistryWhoseCertificateIsKnown) {
  TestRegistry secure({.port = 5996, .user = {}, .password_hash = {}, .password = {}, .tls = true});
  const std::string name = secure.Image("busybox");
  const std::string certs = daemon().dir() + "/certs.d/" + secure.host();
  Must(MakeDirs(certs));
  Must(WriteFileAtomic(certs + "/ca.crt", Must(ReadFile(secure.certificate())), 0644));
  Must(TryPull(name));
  EXPECT_TRUE(IsHere(name));
  int blobs = 0;
  for (const std::string_view line : Split(secure.Log(), '\n')) {
    if (line.find("davit/") != std::string_view::npos &&
        line.find("/blobs/") != std::string_view::npos) {
      EXPECT_NE(line.find("HTTP/2.0\" 200"), std::string_view::npos) << line;
      ++blobs;
    }
  }
  EXPECT_GE(blobs, 2) << secure.Log();
}

}  // namespace
}  // namespace davit::e2e
