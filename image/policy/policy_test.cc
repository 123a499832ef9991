// SPDX-License-Identifier: Apache-2.0
#include "image/policy/policy.h"

#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/status.h"
#include "image/policy/identity.h"
#include "image/policy/scope.h"
#include "image/signature/payload.h"

namespace davit::image {
namespace {

std::string WithDefault(const std::string& requirement) {
  return R"({"default":[)" + requirement + "]}";
}

struct Case {
  std::string text;
  const char* says;  // part of the error; "": it is accepted
};

const std::string kKeyInPolicy = R"("keyType":"GPGKeys","keyData":"YWJj")";

TEST(PolicyTest, WhatIsAcceptedAndWhatIsNot) {
  const std::string signed_by = R"({"type":"signedBy",)" + kKeyInPolicy;
  const std::string sigstore = R"({"type":"sigstoreSigned","keyPath":"/k")";
  const Case cases[] = {
      {R"({"default":[{"type":"insecureAcceptAnything"}]})", ""},
      {R"({"default":[{"type":"reject"}],"transports":{}})", ""},
      {R"({"default":[{"type":"reject"}],"transports":{"docker":{}}})", ""},
      {R"({"default":[{"type":"reject"},{"type":"reject"}]})", ""},
      {WithDefault(signed_by + "}"), ""},
      {WithDefault(R"({"type":"signedBy","keyType":"GPGKeys","keyPath":"/k"})"), ""},
      {WithDefault(R"({"type":"signedBy","keyType":"GPGKeys","keyPaths":["/a","/b"]})"), ""},
      {WithDefault(sigstore + "}"), ""},
      {WithDefault(R"({"type":"sigstoreSigned","keyPaths":["/a"]})"), ""},
      {WithDefault(R"({"type":"sigstoreSigned","keyData":"YWJj"})"), ""},
      {WithDefault(R"({"type":"sigstoreSigned","keyDatas":["YWJj","ZGVm"]})"), ""},
      {WithDefault(sigstore + R"(,"rekorPublicKeyPath":"/r"})"), ""},
      {WithDefault(R"({"type":"sigstoreSigned","fulcio":{"caPath":"/c","oidcIssuer":"i",
                       "subjectEmail":"e"},"rekorPublicKeyData":"YWJj"})"),
       ""},
      {WithDefault(R"({"type":"sigstoreSigned","pki":{"caRootsPath":"/c","subjectEmail":"e"}})"),
       ""},
      // The file as a whole.
      {"", "not valid JSON"},
      {"{}", "lacks \"default\""},
      {"[]", "not an object"},
      {R"({"default":[]})", "at least one requirement"},
      {R"({"default":{}})", "at least one requirement"},
      {R"({"default":[{"type":"reject"}],"other":1})", "unknown key \"other\""},
      {R"({"default":[{"type":"reject"}],"default":[{"type":"insecureAcceptAnything"}]})",
       "\"default\" is there twice"},
      {R"({"default":[{"type":"reject","type":"insecureAcceptAnything"}]})", "there twice"},
      {R"({"default":[{"type":"reject"}],"transports":[]})", "not an object"},
      {R"({"default":[{"type":"reject"}],"transports":{"docker":[]}})", "not an object"},
      {R"({"default":[{"type":"reject"}],"transports":{"docker":{"x":[]}}})", "scope \"x\""},
      {R"({"default":[{"type":"reject"}]} x)", "not valid JSON"},
      {R"({"default":[{"type":"reject"}] /* no */})", "not valid JSON"},
      // Requirements.
      {WithDefault("1"), "not an object"},
      {WithDefault("{}"), "lacks \"type\""},
      {WithDefault(R"({"type":1})"), "not a string"},
      {WithDefault(R"({"type":"signedBaseLayer"})"), "unknown type"},
      {WithDefault(R"({"type":"Reject"})"), "unknown type"},
      {WithDefault(R"({"type":"reject","x":1})"), "unknown key \"x\""},
      {WithDefault(R"({"type":"signedBy","keyPath":"/k"})"), "lacks \"keyType\""},
      {WithDefault(R"({"type":"signedBy","keyType":"X509Certificates","keyPath":"/k"})"),
       "X509Certificates"},
      {WithDefault(R"({"type":"signedBy","keyType":"GPGKeys"})"), "lacks keyPath"},
      {WithDefault(R"({"type":"signedBy","keyType":"GPGKeys","keyPath":"k"})"), "absolute path"},
      {WithDefault(R"({"type":"signedBy","keyType":"GPGKeys","keyPaths":[]})"), "at least one"},
      {WithDefault(R"({"type":"signedBy","keyType":"GPGKeys","keyData":"%%"})"), "base64"},
      {WithDefault(R"({"type":"signedBy","keyType":"GPGKeys","keyData":""})"), "base64"},
      {WithDefault(signed_by + R"(,"keyPath":"/k"})"), "only one of"},
      {WithDefault(signed_by + R"(,"keyDatas":["YWJj"]})"), "unknown key \"keyDatas\""},
      {WithDefault(R"({"type":"sigstoreSigned"})"), "exactly one of"},
      {WithDefault(R"({"type":"sigstoreSigned","keyType":"GPGKeys","keyPath":"/k"})"), "keyType"},
      {WithDefault(sigstore + R"(,"keyDatas":["YWJj"]})"), "only one of"},
      {WithDefault(sigstore + R"(,"fulcio":{"caPath":"/c","oidcIssuer":"i","subjectEmail":"e"},
                                 "rekorPublicKeyPath":"/r"})"),
       "exactly one of"},
      {WithDefault(R"({"type":"sigstoreSigned","fulcio":{"caPath":"/c","oidcIssuer":"i",
                       "subjectEmail":"e"}})"),
       "rekorPublicKey"},
      {WithDefault(R"({"type":"sigstoreSigned","fulcio":{"caPath":"/c","oidcIssuer":"i"},
                       "rekorPublicKeyPath":"/r"})"),
       "subjectEmail"},
      {WithDefault(R"({"type":"sigstoreSigned","fulcio":{"oidcIssuer":"i","subjectEmail":"e"},
                       "rekorPublicKeyPath":"/r"})"),
       "caPath"},
      {WithDefault(R"({"type":"sigstoreSigned","fulcio":{"caPath":"/c","caData":"YQ==",
                       "oidcIssuer":"i","subjectEmail":"e"},"rekorPublicKeyPath":"/r"})"),
       "only one of"},
      {WithDefault(R"({"type":"sigstoreSigned","pki":{"caRootsPath":"/c"}})"), "subjectEmail"},
      {WithDefault(R"({"type":"sigstoreSigned","pki":{"subjectEmail":"e"}})"), "caRootsPath"},
      {WithDefault(sigstore + R"(,"rekorPublicKeyPath":"/r","rekorPublicKeyData":"YQ=="})"),
       "only one of"},
  };
  for (const Case& one : cases) {
    const auto policy = ParsePolicy(one.text);
    EXPECT_EQ(policy.ok(), *one.says == '\0') << one.text << "\n" << policy.status();
    EXPECT_NE(Message(policy.status()).find(one.says), std::string::npos) << one.text << "\n"
                                                                          << policy.status();
  }
}

TEST(PolicyTest, SignedIdentity) {
  const Case cases[] = {
      {R"({"type":"matchExact"})", ""},
      {R"({"type":"matchRepoDigestOrExact"})", ""},
      {R"({"type":"matchRepository"})", ""},
      {R"({"type":"exactReference","dockerReference":"docker.io/library/busybox:1"})", ""},
      {R"({"type":"exactRepository","dockerRepository":"docker.io/library/busybox"})", ""},
      {R"({"type":"remapIdentity","prefix":"mirror:5000/x","signedPrefix":"vendor.example"})", ""},
      {"1", "not an object"},
      {"{}", "lacks \"type\""},
      {R"({"type":"matchAnything"})", "unknown type"},
      {R"({"type":"matchExact","dockerReference":"x:1"})", "unknown key"},
      {R"({"type":"exactReference"})", "lacks \"dockerReference\""},
      {R"({"type":"exactReference","dockerReference":"busybox"})", "neither tag nor digest"},
      {R"({"type":"exactReference","dockerReference":"UPPER:1"})", "lower case"},
      {R"({"type":"exactRepository","dockerRepository":"x:1"})", "without tag"},
      {R"({"type":"exactRepository","dockerReference":"x"})", "unknown key"},
      {R"({"type":"remapIdentity","prefix":"a.example"})", "lacks \"signedPrefix\""},
      {R"({"type":"remapIdentity","prefix":"a.example/x:1","signedPrefix":"b.example"})",
       "without tag"},
      {R"({"type":"remapIdentity","prefix":"","signedPrefix":"b.example"})", "without tag"},
      {R"({"type":"remapIdentity","prefix":"a.example/","signedPrefix":"b.example"})",
       "without tag"},
  };
  for (const Case& one : cases) {
    const std::string text = WithDefault(R"({"type":"signedBy",)" + kKeyInPolicy +
                                         R"(,"signedIdentity":)" + one.text + "}");
    const auto policy = ParsePolicy(text);
    EXPECT_EQ(policy.ok(), *one.says == '\0') << text << "\n" << policy.status();
    EXPECT_NE(Message(policy.status()).find(one.says), std::string::npos) << text << "\n"
                                                                          << policy.status();
  }
}

TEST(PolicyTest, ScopesThatCanNeverMatch) {
  const std::tuple<const char*, const char*, bool> cases[] = {
      {"docker", "", true},
      {"docker", "host:5000", true},
      {"docker", "*.example.com", true},
      {"docker", "host/ns/repo:tag", true},
      {"docker", "*", false},
      {"docker", "*.", false},
      {"docker", "a.*.com", false},
      {"docker", "*.*.com", false},
      {"docker", "*.example.com/x*", false},
      {"docker", "host/", false},
      {"docker", "/host", false},
      {"docker", "host//x", false},
      {"docker-archive", "", true},
      {"docker-archive", "/x", false},
      {"oci", "/x", true},
      {"oci", "/", false},
      {"oci", "x", false},
      {"dir", "", true},
      {"of-another-tool", "anything", true},
  };
  for (const auto& [transport, scope, good] : cases) {
    const std::string text = std::string(R"({"default":[{"type":"reject"}],"transports":{")") +
                             transport + "\":{\"" + scope + R"(":[{"type":"reject"}]}}})";
    EXPECT_EQ(ParsePolicy(text).ok(), good) << text;
  }
}

TEST(PolicyTest, LargeAndDeepTextsAreRefused) {
  EXPECT_FALSE(ParsePolicy(std::string(kMaxPolicyBytes + 1, ' ')).ok());
  EXPECT_FALSE(ParsePolicy(std::string(100'000, '[')).ok());
}

// Which of several scopes counts.
TEST(ScopeTest, TheMostSpecificScopeCounts) {
  const auto policy = ParsePolicy(R"({"default":[{"type":"reject"}],"transports":{
    "docker":{"":[{"type":"reject"}],
      "registry.example.com:5000":[{"type":"reject"}],
      "registry.example.com":[{"type":"reject"}],
      "registry.example.com/team":[{"type":"reject"}],
      "registry.example.com/team/app":[{"type":"reject"}],
      "registry.example.com/team/app:v1":[{"type":"reject"}],
      "*.example.com":[{"type":"reject"}],
      "*.com":[{"type":"reject"}],
      "docker.io/library/busybox":[{"type":"reject"}]},
    "atomic":{"registry.other":[{"type":"reject"}]}}})");
  ASSERT_TRUE(policy.ok()) << policy.status();
  const std::pair<const char*, const char*> cases[] = {
      {"registry.example.com/team/app:v1", "registry.example.com/team/app:v1"},
      {"registry.example.com/team/app:v2", "registry.example.com/team/app"},
      {"registry.example.com/team/app/sub:v1", "registry.example.com/team/app"},
      {"registry.example.com/team/application:v1", "registry.example.com/team"},
      {"registry.example.com/teams/app:v1", "registry.example.com"},
      {"registry.example.com:5000/team/app:v1", "registry.example.com:5000"},
      {"registry.example.com:6000/team/app:v1", "*.example.com"},
      {"a.b.example.com/x", "*.example.com"},
      {"example.com/x", "*.com"},
      {"busybox", "docker.io/library/busybox"},
      {"registry.other/x", ""},
      {"localhost:5000/x", ""},
  };
  for (const auto& [name, scope] : cases) {
    const ScopeMatch match = MatchDocker(*policy, Reference::Parse(name).value());
    EXPECT_EQ(match.requirements, &policy->scopes.at("docker").at(scope))
        << name << " is matched by " << match.scope;
  }
  const ScopeMatch file = MatchPath(*policy, "oci-archive", "/x.tar");
  EXPECT_EQ(file.requirements, &policy->fallback);
}

TEST(ScopeTest, PathsMatchByWholeComponents) {
  const auto policy = ParsePolicy(R"({"default":[{"type":"reject"}],"transports":{
    "oci":{"/images":[{"type":"reject"}],"/images/team":[{"type":"reject"}]}}})");
  ASSERT_TRUE(policy.ok()) << policy.status();
  const auto& scopes = policy->scopes.at("oci");
  EXPECT_EQ(MatchPath(*policy, "oci", "/images/team/x").requirements, &scopes.at("/images/team"));
  EXPECT_EQ(MatchPath(*policy, "oci", "/images/teams").requirements, &scopes.at("/images"));
  EXPECT_EQ(MatchPath(*policy, "oci", "/imagesx").requirements, &policy->fallback);
}

TEST(ScopeTest, ScopesFromTheMostSpecific) {
  const std::vector<std::string> expected = {
      "r.a.example:5000/x/y:1", "r.a.example:5000/x/y", "r.a.example:5000/x",
      "r.a.example:5000",       "*.a.example",          "*.example"};
  EXPECT_EQ(ScopesOf(Reference::Parse("r.a.example:5000/x/y:1").value()), expected);
}

SignedIdentity Exact(SignedIdentity::Type type, const char* value) {
  return {.type = type, .value = value};
}

TEST(IdentityTest, WhatFits) {
  using Type = SignedIdentity::Type;
  const std::string digest = "@sha256:" + std::string(64, 'a');
  const SignedIdentity exact{.type = Type::kMatchExact};
  const SignedIdentity usual{};
  const SignedIdentity repository{.type = Type::kMatchRepository};
  const SignedIdentity reference = Exact(Type::kExactReference, "vendor.example/x:1");
  const SignedIdentity other_repository = Exact(Type::kExactRepository, "vendor.example/x");
  const SignedIdentity remap{.type = Type::kRemapIdentity,
                             .prefix = "mirror.example/vendor",
                             .signed_prefix = "vendor.example"};
  struct {
    const SignedIdentity& identity;
    std::string image;
    std::string signed_as;
    bool fits;
  } const cases[] = {
      {exact, "busybox:1", "docker.io/library/busybox:1", true},
      {exact, "busybox:1", "busybox:1", true},
      {exact, "busybox:1", "busybox:2", false},
      {exact, "busybox", "busybox:latest", true},
      {exact, "busybox", "busybox", false},
      {exact, "busybox" + digest, "busybox:1", false},
      {exact, "busybox" + digest, "busybox" + digest, true},
      {usual, "busybox:1", "busybox:1", true},
      {usual, "busybox:1", "busybox:2", false},
      {usual, "busybox:1", "busybox", false},
      {usual, "busybox:1", "busybox" + digest, false},
      {usual, "busybox:1", "busybox:1" + digest, false},
      {usual, "busybox" + digest, "busybox:2", true},
      {usual, "busybox" + digest, "busybox", true},
      {usual, "busybox" + digest, "busybox2:2", false},
      {repository, "busybox:1", "busybox:2", true},
      {repository, "busybox:1", "busybox", true},
      {repository, "busybox:1", "a.example/library/busybox", false},
      {reference, "anything:2", "vendor.example/x:1", true},
      {reference, "anything:2", "vendor.example/x:2", false},
      {reference, "anything:2", "vendor.example/x", false},
      {other_repository, "anything:2", "vendor.example/x:7", true},
      {other_repository, "anything:2", "vendor.example/x/y:7", false},
      {remap, "mirror.example/vendor/app:1", "vendor.example/app:1", true},
      {remap, "mirror.example/vendor/app:1", "vendor.example/app:2", false},
      {remap, "mirror.example/vendor/app:1", "mirror.example/vendor/app:1", false},
      {remap, "mirror.example/vendors/app:1", "vendor.examples/app:1", false},
      {remap, "mirror.example/vendors/app:1", "mirror.example/vendors/app:1", true},
      {remap, "mirror.example/vendor/app" + digest, "vendor.example/app:9", true},
      {remap, "mirror.example/vendor/app" + digest, "vendor.example/b:9", false},
      {usual, "busybox:1", "", false},
      {usual, "busybox:1", "Not A Name", false},
      {usual, "busybox:1", "busybox:1\n", false},
  };
  for (const auto& one : cases) {
    const absl::Status status =
        CheckIdentity(one.identity, Reference::Parse(one.image).value(), one.signed_as);
    EXPECT_EQ(status.ok(), one.fits)
        << one.image << " signed as '" << one.signed_as << "': " << status;
    EXPECT_TRUE(status.ok() || absl::IsPermissionDenied(status)) << status;
  }
}

std::string Payload(const std::string& critical, const std::string& optional = "{}") {
  return R"({"critical":)" + critical + R"(,"optional":)" + optional + "}";
}

TEST(PayloadTest, ReadStrictly) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const std::string image = R"("image":{"docker-manifest-digest":")" + digest + "\"}";
  const std::string type = R"("type":"atomic container signature")";
  const std::string identity = R"("identity":{"docker-reference":"busybox:1"})";
  const std::string good = "{" + type + "," + image + "," + identity + "}";
  const auto claim = ParseClaim(Payload(good), kSimpleSigningType);
  ASSERT_TRUE(claim.ok()) << claim.status();
  EXPECT_EQ(claim->manifest.text(), digest);
  EXPECT_EQ(claim->reference, "busybox:1");
  for (const char* optional : {"null", R"({"creator":"x","timestamp":1,"new":[1]})"}) {
    EXPECT_TRUE(ParseClaim(Payload(good, optional), kSimpleSigningType).ok()) << optional;
  }
  const std::string bad[] = {
      "",
      "{}",
      "[]",
      R"({"critical":)" + good + "}",
      R"({"critical":)" + good + R"(,"optional":{},"more":1})",
      R"({"critical":)" + good + R"(,"critical":)" + good + R"(,"optional":{}})",
      Payload(good, "1"),
      Payload(good, R"({"creator":1})"),
      Payload(good, R"({"timestamp":"1"})"),
      Payload(good, R"({"timestamp":1.5})"),
      Payload("{" + type + "," + image + "}"),
      Payload("{" + type + "," + identity + "}"),
      Payload("{" + image + "," + identity + "}"),
      Payload("{" + type + "," + image + "," + identity + R"(,"new":1})"),
      Payload("{" + type + "," + type + "," + image + "," + identity + "}"),
      Payload(R"({"type":"cosign container image signature",)" + image + "," + identity + "}"),
      Payload("{" + type + R"(,"image":{"docker-manifest-digest":"sha256:12"},)" + identity + "}"),
      Payload("{" + type + R"(,"image":{"docker-manifest-digest":1},)" + identity + "}"),
      Payload("{" + type + R"(,"image":{"docker-manifest-digest":")" + digest + R"(","x":1},)" +
              identity + "}"),
      Payload("{" + type + "," + image + R"(,"identity":{"docker-reference":1}})"),
      Payload("{" + type + "," + image + R"(,"identity":{"docker-reference":"x","y":1}})"),
      Payload(good) + "x",
  };
  for (const std::string& text : bad) {
    EXPECT_FALSE(ParseClaim(text, kSimpleSigningType).ok()) << text;
  }
}

}  // namespace
}  // namespace davit::image
