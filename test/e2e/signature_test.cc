// SPDX-License-Identifier: Apache-2.0
//
// Signature policies, with images that skopeo signed by keys of gpg.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/text.h"
#include "test/e2e/command.h"
#include "test/e2e/fixture.h"
#include "test/e2e/isolation.h"

namespace davit::e2e {
namespace {

using Code = absl::StatusCode;

class SignatureTest : public E2eTest {
 protected:
  void SetUp() override {
    Must(MakeDirs(dir()));
    MakeKey();
    Must(WriteFileAtomic(policy(), Accept()));
    Must(MakeDirs(dir() + "/policies"));
    Must(MakeDirs(dir() + "/registries.d"));
    Must(WriteFileAtomic(dir() + "/registries.d/default.yaml",
                         "default-docker: {lookaside: file://" + dir() + "/lookaside}\n"));
    E2eTest::SetUp();
  }
  void TearDown() override {
    MustRun({"gpgconf", "--homedir", dir() + "/gnupg", "--kill", "gpg-agent"});
    E2eTest::TearDown();
    Must(RemoveTree(dir()));
  }
  TestDaemon::Options DaemonOptions() override {
    return {.drop_in = fmt::format("image:\n"
                                   "  signature_policy: {0}/policy.json\n"
                                   "  signature_policy_dir: {0}/policies\n"
                                   "  registries_d: {0}/registries.d\n",
                                   dir()),
            .failpoints = {}};
  }

  static std::string dir() { return ProgramDir() + "/signatures"; }
  static std::string policy() { return dir() + "/policy.json"; }
  static std::string Accept() { return R"({"default":[{"type":"insecureAcceptAnything"}]})"; }
  static std::string RequireKey() {
    return R"({"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":")" + dir() +
           "/key.gpg\"}]}";
  }

  // As the fixture image under this name, signed by our key.
  std::string Signed(const std::string& repository, const std::string& tag) {
    const std::string target = registry().host() + "/" + repository + ":" + tag;
    const RunResult copied = RunCommand(
        {"skopeo", "--insecure-policy", "--registries.d", dir() + "/registries.d", "copy",
         "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false", "--sign-by", fingerprint_,
         "docker://" + registry().Image("busybox"), "docker://" + target},
        {"GNUPGHOME=" + dir() + "/gnupg"});
    EXPECT_EQ(copied.exit.code, 0) << copied.err;
    return target;
  }
  absl::Status TryPull(const std::string& image, const std::string& pod_namespace = "default") {
    v1::PullImageRequest request;
    request.mutable_image()->set_image(image);
    request.mutable_sandbox_config()->mutable_metadata()->set_namespace_(pod_namespace);
    return client().PullImage(request).status();
  }
  static void ExpectRefused(const absl::Status& status, const std::string& says) {
    ExpectError(status, Code::kUnknown, says);
    EXPECT_TRUE(std::string(status.message()).starts_with("SignatureValidationFailed: ")) << status;
  }

 private:
  void MakeKey() {
    const std::string home = dir() + "/gnupg";
    Must(MakeDirs(home));
    const std::vector<std::string> gpg = {
        "gpg", "--homedir", home, "--batch", "--quiet", "--passphrase", "", "--status-fd", "1"};
    const auto run = [&](const std::vector<std::string>& arguments) {
      std::vector<std::string> argv = gpg;
      argv.insert(argv.end(), arguments.begin(), arguments.end());
      return MustRun(argv);
    };
    for (const auto& line :
         Split(run({"--quick-gen-key", "signer <s@example.com>", "ed25519", "sign", "never"}),
               '\n')) {
      if (const auto words = Words(line); words.size() > 3 && words[1] == "KEY_CREATED") {
        fingerprint_ = words[3];
      }
    }
    run({"--output", dir() + "/key.gpg", "--export", fingerprint_});
  }

  std::string fingerprint_;
};

TEST_F(SignatureTest, SignedImagesArePulledAndOthersAreNot) {
  const std::string good = Signed("signed/app", "1");
  const std::string unsigned_image = registry().ImageAs("web", "unsigned/app", "1");
  Must(WriteFileAtomic(policy(), RequireKey()));
  ExpectRefused(TryPull(unsigned_image), unsigned_image);
  Must(TryPull(good));
  // What is signed is the name, too.
  ExpectRefused(TryPull(registry().ImageAs("busybox", "signed/app", "2")), "signed/app:2");
  v1::StatusRequest verbose;
  verbose.set_verbose(true);
  EXPECT_NE(Must(client().Status(verbose)).info().at("info").find(policy()), std::string::npos);
}

TEST_F(SignatureTest, NamespacesHaveTheirOwnPolicy) {
  const std::string image = registry().Image("busybox");
  Must(WriteFileAtomic(dir() + "/policies/strict.json", R"({"default":[{"type":"reject"}]})"));
  ExpectRefused(TryPull(image, "strict"), "strict.json");
  Must(TryPull(image, "lenient"));
  ExpectRefused(TryPull(image, "strict"), "strict.json");
  Must(RemoveFile(dir() + "/policies/strict.json"));
  Must(TryPull(image, "strict"));
}

TEST_F(SignatureTest, APolicyThatBecameStricterKeepsContainersFromBeingMade) {
  const std::string good = Signed("signed/app", "1");
  Must(TryPull(good));
  const std::string name = Pull("busybox");
  const Pod pod = RunPod("pod");
  RemoveContainer(Create(pod, ShellContainer("before", "true")));
  Must(WriteFileAtomic(policy(), RequireKey()));
  auto request = CreateRequest(pod, ShellContainer("after", "true"));
  ExpectRefused(client().CreateContainer(request).status(), name);
  EXPECT_TRUE(Containers().empty());
  // As the kubelet asks: by ID, with the name of the pod's spec beside it.
  v1::ImageStatusRequest status;
  status.mutable_image()->set_image(name);
  auto* image = request.mutable_config()->mutable_image();
  image->set_image(Must(client().ImageStatus(status)).image().id());
  image->set_user_specified_image(name);
  ExpectRefused(client().CreateContainer(request).status(), name);
  image->set_user_specified_image(good);
  const std::string id = Must(client().CreateContainer(request)).container_id();
  RemoveContainer(id);
  // Without the lookaside server, and after a restart: the signature was kept.
  Must(RemoveTree(dir() + "/lookaside"));
  daemon().Kill();
  StartDaemon(DaemonOptions());
  RemoveContainer(Must(client().CreateContainer(request)).container_id());
  Must(WriteFileAtomic(policy(), "{"));
  ExpectRefused(client().CreateContainer(request).status(), policy());
}

TEST_F(SignatureTest, ArchivesAreLoadedWhereThePolicyLetsThem) {
  const std::string name = Pull("busybox");
  const auto davit = [this](std::vector<std::string> args) {
    args.insert(args.begin(), {DavitPath(), "--socket", daemon().socket()});
    return RunCommand(args);
  };
  const std::string archive = dir() + "/image.tar";
  EXPECT_EQ(davit({"save", name, "--output-file", archive}).exit.code, 0);
  EXPECT_EQ(davit({"rmi", name}).exit.code, 0);
  Must(WriteFileAtomic(policy(), R"({"default":[{"type":"reject"}]})"));
  const RunResult refused = davit({"load", "-i", archive});
  EXPECT_EQ(refused.exit.code, 1);
  EXPECT_NE(refused.err.find("SignatureValidationFailed: oci-archive:" + archive),
            std::string::npos)
      << refused.err;
  v1::ImageStatusRequest status;
  status.mutable_image()->set_image(name);
  EXPECT_FALSE(Must(client().ImageStatus(status)).has_image());
  Must(
      WriteFileAtomic(policy(), R"({"default":[{"type":"reject"}],"transports":{"oci-archive":{")" +
                                    archive + R"(":[{"type":"insecureAcceptAnything"}]}}})"));
  const RunResult loaded = davit({"load", "-i", archive});
  EXPECT_EQ(loaded.exit.code, 0) << loaded.err;
  EXPECT_TRUE(Must(client().ImageStatus(status)).has_image());
}

TEST_F(SignatureTest, TheOperatorCanAsk) {
  const std::string good = Signed("signed/app", "1");
  const std::string other = registry().ImageAs("web", "unsigned/app", "1");
  Must(WriteFileAtomic(policy(), RequireKey()));
  Must(WriteFileAtomic(dir() + "/davit.yaml", DaemonOptions().drop_in));
  const auto ask = [](const std::string& image) {
    return RunCommand({DavitPath(), "policy", "check", image, "--config", dir() + "/davit.yaml"});
  };
  const RunResult yes = ask(good);
  EXPECT_EQ(yes.exit.code, 0) << yes.err;
  EXPECT_NE(yes.out.find("signedBy"), std::string::npos) << yes.out;
  EXPECT_NE(yes.out.find("accepted"), std::string::npos) << yes.out;
  const RunResult no = ask(other);
  EXPECT_EQ(no.exit.code, 1) << no.out;
  EXPECT_NE(no.err.find("SignatureValidationFailed"), std::string::npos) << no.err;
}

}  // namespace
}  // namespace davit::e2e
