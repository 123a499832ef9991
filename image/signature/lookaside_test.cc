// SPDX-License-Identifier: Apache-2.0
#include "image/signature/lookaside.h"

#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/status.h"
#include "image/fake_server.h"
#include "image/signature/registries_d.h"
#include "image/test_util.h"

namespace davit::image {
namespace {

const Digest kDigest = Digest::Sha256Of("manifest");

class LookasideTest : public testing::Test {
 protected:
  [[nodiscard]] std::string SignatureDir() const {
    return dir_.path() + "/team/app@sha256=" + kDigest.hex();
  }
  void Write(const std::string& path, const std::string& bytes) const {
    ASSERT_TRUE(MakeDirs(path.substr(0, path.rfind('/'))).ok());
    ASSERT_TRUE(WriteFileAtomic(path, bytes).ok());
  }
  absl::StatusOr<std::vector<Signature>> Fetch(const std::string& base) {
    Context ctx(std::chrono::seconds(20));
    return FetchLookaside(ctx, base, reference_, kDigest);
  }
  absl::StatusOr<std::vector<Signature>> FetchFiles() { return Fetch("file://" + dir_.path()); }

  TempDir dir_;
  const Reference reference_ = Reference::Parse("registry.example:5000/team/app:1").value();
};

TEST_F(LookasideTest, FilesUntilOneIsMissing) {
  EXPECT_EQ(FetchFiles()->size(), 0U);
  EXPECT_EQ(Fetch("file:///no/such/directory")->size(), 0U);
  Write(SignatureDir() + "/signature-1", "one");
  Write(SignatureDir() + "/signature-2", "two");
  Write(SignatureDir() + "/signature-4", "four");
  const auto signatures = FetchFiles();
  ASSERT_TRUE(signatures.ok()) << signatures.status();
  ASSERT_EQ(signatures->size(), 2U);
  EXPECT_EQ((*signatures)[0].message, "one");
  EXPECT_EQ((*signatures)[1].message, "two");
  EXPECT_NE((*signatures)[1].origin.find("/signature-2"), std::string::npos);
}

TEST_F(LookasideTest, SymlinksStayBelowTheDirectory) {
  TempDir outside;
  Write(outside.path() + "/secret", "secret");
  ASSERT_TRUE(MakeDirs(SignatureDir()).ok());
  const std::string first = SignatureDir() + "/signature-1";
  ASSERT_EQ(symlink((outside.path() + "/secret").c_str(), first.c_str()), 0);
  const auto absolute = FetchFiles();
  EXPECT_TRUE(!absolute.ok() || absolute->empty());
  ASSERT_EQ(unlink(first.c_str()), 0);
  ASSERT_EQ(symlink("../../../../../../../../etc/passwd", first.c_str()), 0);
  const auto upwards = FetchFiles();
  EXPECT_TRUE(!upwards.ok() || upwards->empty());
  ASSERT_EQ(unlink(first.c_str()), 0);
  // Within it they are as good as files: signatures may be shared.
  Write(dir_.path() + "/shared", "shared");
  ASSERT_EQ(symlink("../../shared", first.c_str()), 0);
  const auto within = FetchFiles();
  ASSERT_TRUE(within.ok()) << within.status();
  ASSERT_EQ(within->size(), 1U);
  EXPECT_EQ(within->front().message, "shared");
}

TEST_F(LookasideTest, WhatIsNoFileDoesNotHang) {
  ASSERT_TRUE(MakeDirs(SignatureDir()).ok());
  const std::string first = SignatureDir() + "/signature-1";
  ASSERT_EQ(mkfifo(first.c_str(), 0600), 0);
  EXPECT_FALSE(FetchFiles().ok());
  ASSERT_EQ(unlink(first.c_str()), 0);
  ASSERT_TRUE(MakeDirs(first).ok());
  EXPECT_FALSE(FetchFiles().ok());
}

TEST_F(LookasideTest, Bounded) {
  Write(SignatureDir() + "/signature-1", std::string(kMaxSignatureBytes + 1, 'x'));
  EXPECT_TRUE(absl::IsResourceExhausted(FetchFiles().status())) << FetchFiles().status();
  for (size_t i = 1; i <= kMaxSignatures + 5; ++i) {
    Write(SignatureDir() + "/signature-" + std::to_string(i), "x");
  }
  EXPECT_EQ(FetchFiles()->size(), kMaxSignatures);
  for (int i = 1; i <= 10; ++i) {
    Write(SignatureDir() + "/signature-" + std::to_string(i), std::string(kMaxSignatureBytes, 'x'));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(FetchFiles().status())) << FetchFiles().status();
}

TEST_F(LookasideTest, WebServer) {
  const std::string prefix = "/base/team/app@sha256=" + kDigest.hex();
  FakeServer server([&prefix](const FakeRequest& request) -> FakeResponse {
    if (request.target == prefix + "/signature-1") {
      return {.body = "one"};
    }
    if (request.target == prefix + "/signature-2") {
      return {.status = 302, .headers = {{"Location", "/elsewhere"}}};
    }
    if (request.target == "/elsewhere") {
      return {.body = "two"};
    }
    return {.status = 404};
  });
  const auto signatures = Fetch("http://" + server.host() + "/base");
  ASSERT_TRUE(signatures.ok()) << signatures.status();
  ASSERT_EQ(signatures->size(), 2U);
  EXPECT_EQ((*signatures)[0].message, "one");
  EXPECT_EQ((*signatures)[1].message, "two");
}

TEST_F(LookasideTest, WebServerThatMisbehaves) {
  FakeResponse response;
  FakeServer server([&response](const FakeRequest&) { return response; });
  const std::string base = "http://" + server.host();
  response = {.status = 500};
  EXPECT_TRUE(absl::IsUnavailable(Fetch(base).status())) << Fetch(base).status();
  response = {.status = 302, .headers = {{"Location", "/again"}}};
  EXPECT_TRUE(absl::IsUnavailable(Fetch(base).status())) << Fetch(base).status();
  response = {.body = std::string(65536, 'x'), .endless = true};
  EXPECT_TRUE(absl::IsResourceExhausted(Fetch(base).status())) << Fetch(base).status();
}

class RegistriesDTest : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& yaml) const {
    ASSERT_TRUE(WriteFileAtomic(dir_.path() + "/" + name, yaml).ok());
  }
  SignatureLocations For(const std::string& name) const {
    const auto registries = RegistriesD::Load(dir_.path());
    EXPECT_TRUE(registries.ok()) << registries.status();
    return registries->For(Reference::Parse(name).value());
  }
  void ExpectMistake(const std::string& yaml, const std::string& says) const {
    Write("x.yaml", yaml);
    const auto registries = RegistriesD::Load(dir_.path());
    EXPECT_TRUE(absl::IsInvalidArgument(registries.status())) << yaml;
    const std::string message = Message(registries.status());
    EXPECT_NE(message.find(says), std::string::npos) << message;
    EXPECT_NE(message.find("x.yaml"), std::string::npos) << message;
  }
  TempDir dir_;
};

TEST_F(RegistriesDTest, NothingSaid) {
  EXPECT_EQ(For("busybox").lookaside, kDefaultLookaside);
  EXPECT_FALSE(For("busybox").attachments);
  const auto absent = RegistriesD::Load("/no/such/directory");
  EXPECT_TRUE(absent.ok()) << absent.status();
}

TEST_F(RegistriesDTest, TheMostSpecificScopeCountsForEachKey) {
  Write("a.yaml",
        "default-docker:\n"
        "  lookaside: file:///default\n"
        "docker:\n"
        "  registry.example:\n"
        "    lookaside: https://host.example\n"
        "    lookaside-staging: file:///staging\n"
        "    use-sigstore-attachments: true\n");
  Write("b.yaml",
        "docker:\n"
        "  registry.example/team:\n"
        "    sigstore: http://old.example\n"
        "  registry.example/team/app:1:\n"
        "    use-sigstore-attachments: false\n"
        "  \"*.wild.example\":\n"
        "    lookaside: file:///wild\n");
  Write("ignored.yml", "not: [yaml");
  Write("empty.yaml", "");
  EXPECT_EQ(For("busybox").lookaside, "file:///default");
  EXPECT_EQ(For("registry.example/x").lookaside, "https://host.example");
  EXPECT_TRUE(For("registry.example/x").attachments);
  EXPECT_EQ(For("registry.example/team/app:2").lookaside, "http://old.example");
  EXPECT_TRUE(For("registry.example/team/app:2").attachments);
  EXPECT_EQ(For("registry.example/team/app:1").lookaside, "http://old.example");
  EXPECT_FALSE(For("registry.example/team/app:1").attachments);
  EXPECT_EQ(For("a.wild.example:5000/x").lookaside, "file:///wild");
}

TEST_F(RegistriesDTest, Mistakes) {
  ExpectMistake("docker: [", "line");
  ExpectMistake("- x\n", "mapping");
  ExpectMistake("dokcer: {}\n", "dokcer");
  ExpectMistake("docker: 1\n", "scopes");
  ExpectMistake("docker: {a.example: 1}\n", "a.example");
  ExpectMistake("docker: {a.example: {lookasid: file:///x}}\n", "lookasid");
  ExpectMistake("docker: {a.example: {lookaside: ftp://x}}\n", "ftp://x");
  ExpectMistake("docker: {a.example: {lookaside: relative}}\n", "relative");
  ExpectMistake("docker: {a.example: {use-sigstore-attachments: perhaps}}\n", "line");
  ExpectMistake("docker: {\"\": {lookaside: file:///x}}\n", "empty scope");
  Write("a.yaml", "docker: {a.example: {lookaside: file:///x}}\n");
  ExpectMistake("docker: {a.example: {use-sigstore-attachments: true}}\n", "second time");
}

}  // namespace
}  // namespace davit::image
