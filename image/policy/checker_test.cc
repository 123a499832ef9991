// SPDX-License-Identifier: Apache-2.0
#include "image/policy/checker.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/status.h"
#include "image/pull_fixture.h"
#include "image/signature/gpg_signer.h"
#include "image/signature/sigstore_signer.h"

namespace davit::image {
namespace {

using nlohmann::json;

// Pulls of one image from a registry, under policies that the tests write.
class CheckerTest : public PullFixture {
 protected:
  CheckerTest() {
    registry_.Add("team/app", "1", image_);
    Write(config_.registries_d + "/r.yaml", "default-docker: {lookaside: file://" + Lookaside() +
                                                ", use-sigstore-attachments: true}\n");
  }

  [[nodiscard]] std::string Lookaside() const { return dir_.path() + "/lookaside"; }
  void Write(const std::string& path, const std::string& bytes) const {
    ASSERT_TRUE(MakeDirs(path.substr(0, path.rfind('/'))).ok());
    ASSERT_TRUE(WriteFileAtomic(path, bytes).ok());
  }
  // As signature-N of a manifest of team/app.
  void PutAside(const Digest& manifest, const std::string& message, int nth = 1) const {
    Write(Lookaside() + "/team/app@sha256=" + manifest.hex() + "/signature-" + std::to_string(nth),
          message);
  }
  // What signs `manifest` as `reference` (of this registry, if it begins with a slash).
  std::string Sign(const Digest& manifest, const std::string& reference) {
    const std::string name = reference.starts_with('/') ? Name(reference) : reference;
    return signer_.Sign(key_, SimpleSigningPayload(manifest.text(), name));
  }
  void Attach(const Digest& manifest, const std::vector<Signature>& signatures) {
    json layers = json::array();
    FakeImage attachment;
    for (const Signature& signature : signatures) {
      attachment.layers.push_back({"", signature.message});
      layers.push_back(
          {{"mediaType", "application/vnd.dev.cosign.simplesigning.v1+json"},
           {"digest", Digest::Sha256Of(signature.message).text()},
           {"size", signature.message.size()},
           {"annotations", {{"dev.cosignproject.cosign/signature", signature.signature}}}});
    }
    attachment.manifest = json{
        {"schemaVersion", 2},
        {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
        {"config", json::object()},
        {"layers", layers}}.dump();
    registry_.Add("team/app", "sha256-" + manifest.hex() + ".sig", attachment);
  }

  [[nodiscard]] static std::string PolicyOf(const std::string& requirement) {
    return R"({"default":[)" + requirement + "]}";
  }
  void RequireGpg() {
    Write(dir_.path() + "/key.gpg", signer_.Export(key_));
    WritePolicy(PolicyOf(R"({"type":"signedBy","keyType":"GPGKeys","keyPath":")" + dir_.path() +
                         "/key.gpg\"}"));
  }
  void RequireSigstore() {
    Write(dir_.path() + "/key.pub", sigstore_key_.PublicPem());
    WritePolicy(PolicyOf(R"({"type":"sigstoreSigned","keyPath":")" + dir_.path() + "/key.pub\"}"));
  }
  static constexpr const char* kReject = R"({"default":[{"type":"reject"}]})";

  void ExpectRefused(const absl::Status& status, const std::vector<std::string>& says) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnknown) << status;
    const std::string message = Message(status);
    EXPECT_TRUE(message.starts_with("SignatureValidationFailed: ")) << message;
    for (const std::string& part : says) {
      EXPECT_NE(message.find(part), std::string::npos) << part << " is not in: " << message;
    }
  }
  absl::Status PullAs(const std::string& name, const std::string& pod_namespace = "") {
    Context ctx(std::chrono::seconds(30));
    return puller_->Pull(ctx, {.name = Name(name), .pod_namespace = pod_namespace}, nullptr)
        .status();
  }
  absl::Status CheckPresent(const std::string& name, const std::string& pod_namespace = "") {
    Context ctx(std::chrono::seconds(30));
    const auto record = storage_->FindImage(image_.id());
    EXPECT_TRUE(record.ok() && *record) << "the image is not here";
    return policy_->CheckPresent(
        ctx, ***record,
        {.name = name.starts_with('/') ? Name(name) : name, .pod_namespace = pod_namespace});
  }

  const FakeImage image_ = MakeImage({Tar({{"file", "content"}})});
  GpgSigner signer_;
  const std::string key_ = signer_.MakeKey("signer <s@example.com>");
  const SigstoreKey sigstore_key_;
};

TEST_F(CheckerTest, RejectNamesImageRequirementAndFile) {
  WritePolicy(kReject);
  registry_.TakeRequests();
  ExpectRefused(PullAs("/team/app:1"), {Name("/team/app:1"), "requirement 1 (reject)", "default",
                                        config_.signature_policy});
  for (const std::string& request : registry_.TakeRequests()) {
    EXPECT_EQ(request.find("/blobs/"), std::string::npos) << "fetched too early: " << request;
  }
  ExpectNothingLeft();
}

TEST_F(CheckerTest, WithoutAnyPolicyEverythingIsAccepted) {
  if (PathExists(kDefaultPolicyFile)) {
    GTEST_SKIP() << "this machine has a " << kDefaultPolicyFile;
  }
  config_.signature_policy = "";
  MakePuller();
  EXPECT_TRUE(PullAs("/team/app:1").ok());
  EXPECT_TRUE(policy_->Describe().starts_with("none"));
}

TEST_F(CheckerTest, APolicyThatCannotBeReadRefuses) {
  WritePolicy(R"({"default":[{"type":"insecureAcceptAnything"}],"defualt":[]})");
  ExpectRefused(PullAs("/team/app:1"), {config_.signature_policy, "defualt"});
  ASSERT_TRUE(RemoveFile(config_.signature_policy).ok());
  ExpectRefused(PullAs("/team/app:1"), {config_.signature_policy});
  ASSERT_TRUE(MakeDirs(config_.signature_policy).ok());
  ExpectRefused(PullAs("/team/app:1"), {config_.signature_policy});
  ASSERT_TRUE(RemoveTree(config_.signature_policy).ok());
  ExpectNothingLeft();
  // A change takes effect at once.
  WritePolicy(R"({"default":[{"type":"insecureAcceptAnything"}]})");
  EXPECT_TRUE(PullAs("/team/app:1").ok());
}

TEST_F(CheckerTest, SignedByGpg) {
  RequireGpg();
  ExpectRefused(PullAs("/team/app:1"), {"signedBy", "no signature of this kind"});
  ExpectNothingLeft();
  PutAside(image_.digest(), Sign(image_.digest(), "/team/app:1"));
  const absl::Status by_tag = PullAs("/team/app:1");
  EXPECT_TRUE(by_tag.ok()) << by_tag;
  const absl::Status by_digest = PullAs("/team/app@" + image_.digest().text());
  EXPECT_TRUE(by_digest.ok()) << by_digest;
}

TEST_F(CheckerTest, GpgSignaturesThatAreNotGoodEnough) {
  RequireGpg();
  const Digest other = Digest::Sha256Of("other");
  const std::string wrong_tag = Sign(image_.digest(), "/team/app:2");
  const std::string wrong_repository = Sign(image_.digest(), "/team/other:1");
  const std::string wrong_digest = Sign(other, "/team/app:1");
  const std::string wrong_key =
      signer_.Sign(signer_.MakeKey("stranger <x@example.com>"),
                   SimpleSigningPayload(image_.digest().text(), Name("/team/app:1")));
  const std::string wrong_payload = signer_.Sign(key_, R"({"critical":{},"optional":{}})");
  const std::pair<std::string, const char*> cases[] = {{wrong_tag, "not as"},
                                                       {wrong_repository, "not as"},
                                                       {wrong_digest, "is of manifest"},
                                                       {wrong_key, "not in the keyring"},
                                                       {wrong_payload, "cannot be accepted"},
                                                       {"garbage", "no binary OpenPGP message"}};
  int nth = 0;
  for (const auto& [message, says] : cases) {
    PutAside(image_.digest(), message);
    ExpectRefused(PullAs("/team/app:1"), {"signature-1", says});
    PutAside(image_.digest(), message, ++nth + 1);
  }
  // Bad ones do not spoil a good one.
  ExpectRefused(PullAs("/team/app:1"), {"more"});
  PutAside(image_.digest(), Sign(image_.digest(), "/team/app:1"), nth + 2);
  const absl::Status status = PullAs("/team/app:1");
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(CheckerTest, KeysThatCannotBeUsed) {
  RequireGpg();
  PutAside(image_.digest(), Sign(image_.digest(), "/team/app:1"));
  Write(dir_.path() + "/key.gpg", "no keyring");
  ExpectRefused(PullAs("/team/app:1"), {"key.gpg", "no usable OpenPGP key"});
  ASSERT_TRUE(RemoveFile(dir_.path() + "/key.gpg").ok());
  ExpectRefused(PullAs("/team/app:1"), {"key.gpg", "key file of the policy"});
}

TEST_F(CheckerTest, ASignatureOfTheIndexVouchesForWhatItNames) {
  RequireGpg();
  const std::string index =
      json{{"schemaVersion", 2},
           {"mediaType", "application/vnd.oci.image.index.v1+json"},
           {"manifests",
            {{{"mediaType", "application/vnd.oci.image.manifest.v1+json"},
              {"digest", image_.digest().text()},
              {"size", image_.manifest.size()},
              {"platform",
               {{"os", "linux"}, {"architecture", json::parse(image_.config)["architecture"]}}}}}}}
          .dump();
  registry_.AddManifest("team/app", "multi", "application/vnd.oci.image.index.v1+json", index);
  ExpectRefused(PullAs("/team/app:multi"), {"no signature"});
  const Digest digest = Digest::Sha256Of(index);
  PutAside(digest, Sign(digest, "/team/app:multi"));
  absl::Status status = PullAs("/team/app:multi");
  EXPECT_TRUE(status.ok()) << status;
  status = CheckPresent("/team/app:multi");
  EXPECT_TRUE(status.ok()) << status;
  // Or one of the platform's own manifest.
  ASSERT_TRUE(storage_->RemoveImage(image_.id()).ok());
  ASSERT_TRUE(RemoveTree(Lookaside()).ok());
  MakePuller();
  PutAside(image_.digest(), Sign(image_.digest(), "/team/app:multi"));
  status = PullAs("/team/app:multi");
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(CheckerTest, SigstoreAttachment) {
  RequireSigstore();
  ExpectRefused(PullAs("/team/app:1"), {"sigstoreSigned", "no signature of this kind"});
  const auto sign = [&](const SigstoreKey& key, const Digest& digest, const std::string& name) {
    return SignSigstore(key, SigstorePayload(digest.text(), Name(name)));
  };
  const Signature good = sign(sigstore_key_, image_.digest(), "/team/app:1");
  Signature changed = good;
  changed.message += " ";
  const std::vector<Signature> bad = {
      sign(SigstoreKey(), image_.digest(), "/team/app:1"),
      sign(sigstore_key_, Digest::Sha256Of("other"), "/team/app:1"),
      sign(sigstore_key_, image_.digest(), "/team/app:2"),
      sign(sigstore_key_, image_.digest(), "/team/app"),
      changed,
      SignSigstore(sigstore_key_,
                   SimpleSigningPayload(image_.digest().text(), Name("/team/app:1")))};
  for (const Signature& signature : bad) {
    Attach(image_.digest(), {signature});
    ExpectRefused(PullAs("/team/app:1"), {"no signature is good"});
  }
  Attach(image_.digest(), {bad[0], bad[1], good});
  const absl::Status status = PullAs("/team/app:1");
  EXPECT_TRUE(status.ok()) << status;
  ExpectRefused(CheckPresent("/team/app:2"), {"not as"});
}

// It is gone when the pull has taken it: signatures must come through the pull's own source.
TEST_F(CheckerTest, AttachmentsComeWithTheLoginThatIsForOnePull) {
  config_.namespaced_auth_dir = dir_.path() + "/auth";
  MakePuller();
  RequireSigstore();
  Attach(
      image_.digest(),
      {SignSigstore(sigstore_key_, SigstorePayload(image_.digest().text(), Name("/team/app:1")))});
  registry_.RequireBasic("user", "hunter2");
  const json auths = {
      {"auths", {{registry_.host(), {{"username", "user"}, {"password", "hunter2"}}}}}};
  Write(config_.namespaced_auth_dir + "/ns-" + Digest::Sha256Of(Name("/team/app")).hex() + ".json",
        auths.dump());
  const absl::Status status = PullAs("/team/app:1", "ns");
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(CheckerTest, ARegistryThatDoesNotAnswerIsNoRefusal) {
  RequireSigstore();
  registry_.Inject(".sig", 100, [](const FakeRequest&, FakeResponse& r) { r.status = 503; });
  const absl::Status status = PullAs("/team/app:1");
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(Message(status).starts_with("RegistryUnavailable")) << status;
  registry_.ClearFaults();
  // One that lies is.
  Attach(
      image_.digest(),
      {SignSigstore(sigstore_key_, SigstorePayload(image_.digest().text(), Name("/team/app:1")))});
  registry_.AddManifest("team/app", "sha256-" + image_.digest().hex() + ".sig",
                        "application/vnd.oci.image.manifest.v1+json",
                        R"({"layers":[{"mediaType":
                           "application/vnd.dev.cosign.simplesigning.v1+json",
                           "digest":"x","size":1}]})");
  ExpectRefused(PullAs("/team/app:1"), {"digest 'x'"});
}

TEST_F(CheckerTest, NamespacesHaveTheirOwnPolicy) {
  Write(config_.signature_policy_dir + "/strict.json", kReject);
  ExpectRefused(PullAs("/team/app:1", "strict"), {"strict.json", "reject"});
  EXPECT_TRUE(PullAs("/team/app:1", "other").ok());
  // The image is here now; that changes nothing for the others.
  ExpectRefused(PullAs("/team/app:1", "strict"), {"strict.json"});
  ExpectRefused(PullAs("/team/app@" + image_.digest().text(), "strict"), {"strict.json"});
  ExpectRefused(CheckPresent("/team/app:1", "strict"), {"strict.json"});
  EXPECT_TRUE(CheckPresent("/team/app:1", "other").ok());
  WritePolicy(kReject);
  Write(config_.signature_policy_dir + "/free.json",
        PolicyOf(R"({"type":"insecureAcceptAnything"})"));
  EXPECT_TRUE(PullAs("/team/app:1", "free").ok());
  ExpectRefused(PullAs("/team/app:1", "other"), {config_.signature_policy});
  for (const std::string& name : {std::string("../free"), std::string(".."), std::string("a/b"),
                                  std::string("a\0b", 3), std::string(300, 'a')}) {
    ExpectRefused(PullAs("/team/app:1", name), {"namespace of a pod"});
  }
}

TEST_F(CheckerTest, APolicyThatBecomesStricterCountsForWhatIsHere) {
  ASSERT_TRUE(PullAs("/team/app:1").ok());
  RequireGpg();
  ExpectRefused(CheckPresent("/team/app:1"), {"no signature"});
  ExpectRefused(CheckPresent(""), {"no signature"});
  ExpectRefused(CheckPresent(image_.id()), {"no signature"});
  // Signatures that come later are found.
  PutAside(image_.digest(), Sign(image_.digest(), "/team/app:1"));
  for (const std::string& name : {std::string("/team/app:1"), std::string(), image_.id()}) {
    const absl::Status status = CheckPresent(name);
    EXPECT_TRUE(status.ok()) << status;
  }
  ExpectRefused(CheckPresent("/team/app:2"), {"not as"});
  ExpectRefused(CheckPresent("/team/other:1"), {"/team/other:1", "no signature"});
}

TEST_F(CheckerTest, GoodSignaturesAreKept) {
  RequireGpg();
  PutAside(image_.digest(), Sign(image_.digest(), "/team/app:1"));
  ASSERT_TRUE(PullAs("/team/app:1").ok());
  ASSERT_TRUE(RemoveTree(Lookaside()).ok());
  MakePuller();
  absl::Status status = CheckPresent("/team/app:1");
  EXPECT_TRUE(status.ok()) << status;
  ASSERT_TRUE(policy_->Sweep(*storage_).ok());
  status = CheckPresent("/team/app:1");
  EXPECT_TRUE(status.ok()) << status;
  // They are proofs, not permissions: under another key they prove nothing.
  Write(dir_.path() + "/key.gpg", signer_.Export(signer_.MakeKey("new <n@example.com>")));
  ExpectRefused(CheckPresent("/team/app:1"), {"no signature"});
}

TEST_F(CheckerTest, AllRequirementsHaveToBeMet) {
  Write(dir_.path() + "/key.gpg", signer_.Export(key_));
  Write(dir_.path() + "/key.pub", sigstore_key_.PublicPem());
  WritePolicy(PolicyOf(R"({"type":"signedBy","keyType":"GPGKeys","keyPath":")" + dir_.path() +
                       R"(/key.gpg"},{"type":"sigstoreSigned","keyPath":")" + dir_.path() +
                       R"(/key.pub"},{"type":"insecureAcceptAnything"})"));
  PutAside(image_.digest(), Sign(image_.digest(), "/team/app:1"));
  ExpectRefused(PullAs("/team/app:1"), {"requirement 2 (sigstoreSigned)"});
  Attach(
      image_.digest(),
      {SignSigstore(sigstore_key_, SigstorePayload(image_.digest().text(), Name("/team/app:1")))});
  const absl::Status status = PullAs("/team/app:1");
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(CheckerTest, FilesAreOfTheirOwnTransport) {
  WritePolicy(R"({"default":[{"type":"reject"}],"transports":{
                 "docker-archive":{"":[{"type":"insecureAcceptAnything"}]},
                 "oci-archive":{"/images":[{"type":"insecureAcceptAnything"}]}}})");
  Context ctx(std::chrono::seconds(30));
  EXPECT_TRUE(policy_->CheckFile(ctx, "docker-archive", "/x.tar").ok());
  EXPECT_TRUE(policy_->CheckFile(ctx, "oci-archive", "/images/x.tar").ok());
  ExpectRefused(policy_->CheckFile(ctx, "oci-archive", "/other/x.tar"), {"/other/x.tar", "reject"});
}

TEST_F(CheckerTest, ExplainsWhatIsAsked) {
  WritePolicy(R"({"default":[{"type":"reject"}],"transports":{
                 "docker":{"docker.io":[{"type":"insecureAcceptAnything"}]}}})");
  const auto hub = policy_->Explain(Reference::Parse("busybox").value(), "");
  ASSERT_TRUE(hub.ok()) << hub.status();
  EXPECT_NE(hub->find("docker scope \"docker.io\": insecureAcceptAnything"), std::string::npos)
      << *hub;
  const auto other = policy_->Explain(Reference::Parse("a.example/x").value(), "");
  EXPECT_NE(other->find("default: reject"), std::string::npos) << *other;
}

}  // namespace
}  // namespace davit::image
