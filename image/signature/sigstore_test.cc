// SPDX-License-Identifier: Apache-2.0
#include "image/signature/sigstore.h"

#include <ctime>

#include <gtest/gtest.h>

#include "image/signature/sigstore_signer.h"

namespace davit::image {
namespace {

const std::string kPayload = SigstorePayload("sha256:" + std::string(64, 'a'), "busybox:1");

PublicKey Parse(const SigstoreKey& key) {
  return PublicKey::ParsePem(key.PublicPem()).value();
}

void ExpectGood(const SigstoreTrust& trust, const Signature& signature) {
  const auto payload = VerifySigstore(trust, signature);
  ASSERT_TRUE(payload.ok()) << payload.status();
  EXPECT_EQ(*payload, kPayload);
}

void ExpectRefused(const SigstoreTrust& trust, const Signature& signature,
                   const std::string& says = "") {
  const auto payload = VerifySigstore(trust, signature);
  EXPECT_EQ(payload.status().code(), absl::StatusCode::kPermissionDenied) << payload.status();
  EXPECT_NE(std::string(payload.status().message()).find(says), std::string::npos)
      << payload.status();
}

TEST(PublicKeyTest, Kinds) {
  for (const char* kind : {"P-256", "P-384", "ED25519", "RSA2048"}) {
    const SigstoreKey key(kind);
    const auto parsed = PublicKey::ParsePem(key.PublicPem());
    ASSERT_TRUE(parsed.ok()) << kind << ": " << parsed.status();
    ExpectGood({.keys = {*parsed}}, SignSigstore(key, kPayload));
    EXPECT_TRUE(PublicKey::ParsePem("\n" + key.PublicPem() + "\n\n").ok());
  }
  EXPECT_FALSE(PublicKey::ParsePem(SigstoreKey("RSA1024").PublicPem()).ok());
  EXPECT_FALSE(PublicKey::ParsePem(SigstoreKey("secp256k1").PublicPem()).ok());
}

TEST(PublicKeyTest, TextsThatAreNoKey) {
  const SigstoreKey key;
  const std::string pem = key.PublicPem();
  const TestCertificate certificate(key, {});
  for (const std::string& text :
       {std::string(), std::string("x"), std::string("-----BEGIN PUBLIC KEY-----"),
        std::string("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), pem + pem,
        pem + "x", "x" + pem, pem.substr(0, pem.size() / 2), certificate.Pem(),
        std::string(100'000, 'x')}) {
    EXPECT_EQ(PublicKey::ParsePem(text).status().code(), absl::StatusCode::kInvalidArgument)
        << text;
  }
}

TEST(SigstoreTest, WrongKeyAndChangedContent) {
  const SigstoreKey key;
  const SigstoreKey other;
  const Signature good = SignSigstore(key, kPayload);
  ExpectGood({.keys = {Parse(other), Parse(key)}}, good);
  ExpectRefused({.keys = {Parse(other)}}, good);
  ExpectRefused({}, good);
  Signature changed = good;
  changed.message.back() = ' ';
  ExpectRefused({.keys = {Parse(key)}}, changed, "changed");
  for (const char* text : {"", "%", "AAAA", "MEUCIQ=="}) {
    Signature garbage = good;
    garbage.signature = text;
    ExpectRefused({.keys = {Parse(key)}}, garbage);
  }
}

TEST(SigstoreTest, TheLogHasToHaveIt) {
  const SigstoreKey key;
  const SigstoreKey log;
  const SigstoreKey other;
  const SigstoreTrust trust{.keys = {Parse(key)}, .log_keys = {Parse(other), Parse(log)}};
  Signature signature = SignSigstore(key, kPayload);
  ExpectRefused(trust, signature, "no entry of a Rekor log");
  const auto with = [&](const std::string& bundle) {
    Signature copy = signature;
    copy.bundle = bundle;
    return copy;
  };
  ExpectGood(trust, with(RekorBundle(log, signature, key.PublicPem(), 1'700'000'000)));
  ExpectRefused(trust, with(RekorBundle(key, signature, key.PublicPem(), 1)), "log's key");
  ExpectRefused(trust, with(RekorBundle(log, signature, other.PublicPem(), 1)), "another key");
  ExpectRefused(trust, with(RekorBundle(log, signature, key.PublicPem(), 0)), "no time");
  const Signature same_key = SignSigstore(key, kPayload);  // ECDSA is never twice the same
  ExpectRefused(trust, with(RekorBundle(log, same_key, key.PublicPem(), 1)), "another signature");
  Signature of_other = signature;
  of_other.message = "other";
  ExpectRefused(trust, with(RekorBundle(log, of_other, key.PublicPem(), 1)), "another payload");
  for (const char* bundle : {"x", "{}", "[]", R"({"SignedEntryTimestamp":"AAAA","Payload":{}})",
                             R"({"SignedEntryTimestamp":1,"Payload":1})"}) {
    ExpectRefused(trust, with(bundle));
  }
}

class CertificateTest : public testing::Test {
 protected:
  [[nodiscard]] Signature SignWith(const TestCertificate& certificate) const {
    Signature signature = SignSigstore(key_, kPayload);
    signature.certificate = certificate.Pem();
    return signature;
  }
  [[nodiscard]] TestCertificate Issue(const CertificateOptions& options) const {
    return {key_, options, ca_, ca_key_};
  }
  [[nodiscard]] SigstoreTrust Trust(const std::string& email, const std::string& host = "",
                                    const std::string& issuer = "") const {
    return {.certificate = CertificateTrust{.roots = ca_.Pem(),
                                            .oidc_issuer = issuer,
                                            .subject_email = email,
                                            .subject_hostname = host}};
  }
  SigstoreKey ca_key_{"P-384"};
  TestCertificate ca_{ca_key_, {.ca = true, .not_before = -1'000'000, .not_after = 1'000'000}};
  SigstoreKey key_;
};

TEST_F(CertificateTest, NamesTheSigner) {
  const TestCertificate email = Issue({.subject_alt_name = "email:a@example.com"});
  ExpectGood(Trust("a@example.com"), SignWith(email));
  ExpectRefused(Trust("b@example.com"), SignWith(email), "not of b@example.com");
  ExpectRefused(Trust("", "a.example.com"), SignWith(email), "not of host");
  const TestCertificate host = Issue({.subject_alt_name = "DNS:build.example.com"});
  ExpectGood(Trust("", "build.example.com"), SignWith(host));
  ExpectRefused(Trust("", "example.com"), SignWith(host));
  ExpectRefused(Trust("a@example.com", "build.example.com"), SignWith(host));
}

TEST_F(CertificateTest, HasToBeOfTheCaAndForCodeSigningAndValid) {
  const CertificateOptions good{.subject_alt_name = "email:a@example.com"};
  const SigstoreTrust trust = Trust("a@example.com");
  const SigstoreKey other_key;
  const TestCertificate other_ca(other_key, {.ca = true});
  ExpectRefused(trust, SignWith({key_, good, other_ca, other_key}), "trusted CA");
  ExpectRefused(trust, SignWith({key_, good}), "trusted CA");
  CertificateOptions wrong = good;
  wrong.usage = "serverAuth";
  ExpectRefused(trust, SignWith(Issue(wrong)), "code signing");
  wrong.usage = "";
  ExpectGood(trust, SignWith(Issue(wrong)));
  wrong = good;
  wrong.not_before = -600;
  wrong.not_after = -300;
  ExpectRefused(trust, SignWith(Issue(wrong)), "expired");
  ExpectRefused(trust, SignSigstore(key_, kPayload), "certificate");
  Signature two = SignWith(Issue(good));
  two.certificate += two.certificate;
  ExpectRefused(trust, two, "exactly one");
  Signature by_other = SignSigstore(other_key, kPayload);
  by_other.certificate = Issue(good).Pem();
  ExpectRefused(trust, by_other, "key of its certificate");
}

TEST_F(CertificateTest, IntermediatesComeFromThePolicyOrTheSignature) {
  const SigstoreKey middle_key;
  const TestCertificate middle(middle_key, {.ca = true}, ca_, ca_key_);
  const TestCertificate leaf(key_, {.subject_alt_name = "email:a@example.com"}, middle, middle_key);
  SigstoreTrust trust = Trust("a@example.com");
  Signature signature = SignWith(leaf);
  ExpectRefused(trust, signature, "trusted CA");
  signature.chain = middle.Pem() + ca_.Pem();
  ExpectGood(trust, signature);
  signature.chain = "-----BEGIN CERTIFICATE-----\nx";
  ExpectRefused(trust, signature, "chain");
  signature.chain = "";
  trust.certificate->intermediates = middle.Pem();
  ExpectGood(trust, signature);
  // A certificate that is no CA issues none.
  const TestCertificate no_ca(middle_key, {.usage = ""}, ca_, ca_key_);
  signature = SignWith({key_, {.subject_alt_name = "email:a@example.com"}, no_ca, middle_key});
  signature.chain = no_ca.Pem() + ca_.Pem();
  ExpectRefused(Trust("a@example.com"), signature, "trusted CA");
}

// Fulcio's certificates have long expired when their signatures are verified.
TEST_F(CertificateTest, TheTimeIsTheLogs) {
  const SigstoreKey log;
  const TestCertificate certificate = Issue({.subject_alt_name = "email:a@example.com",
                                             .oidc_issuer = "https://issuer.example",
                                             .not_before = -5000,
                                             .not_after = -4000});
  SigstoreTrust trust = Trust("a@example.com", "", "https://issuer.example");
  trust.log_keys = {Parse(log)};
  Signature signature = SignWith(certificate);
  const int64_t now = std::time(nullptr);
  signature.bundle = RekorBundle(log, signature, certificate.Pem(), now - 4500);
  ExpectGood(trust, signature);
  signature.bundle = RekorBundle(log, signature, certificate.Pem(), now);
  ExpectRefused(trust, signature, "expired");
  signature.bundle = RekorBundle(log, signature, key_.PublicPem(), now - 4500);
  ExpectRefused(trust, signature, "another key");
  signature.bundle = RekorBundle(log, signature, certificate.Pem(), now - 4500);
  trust.certificate->oidc_issuer = "https://other.example";
  ExpectRefused(trust, signature, "OIDC issuer");
  signature = SignWith(Issue({.subject_alt_name = "email:a@example.com", .usage = ""}));
  signature.bundle = RekorBundle(log, signature, signature.certificate, now + 60);
  ExpectRefused(trust, signature, "code signing");
  signature = SignWith(Issue({.subject_alt_name = "email:a@example.com"}));
  signature.bundle = RekorBundle(log, signature, signature.certificate, now + 60);
  ExpectRefused(trust, signature, "names no OIDC issuer");
}

TEST_F(CertificateTest, RootsThatAreNone) {
  SigstoreTrust trust = Trust("a@example.com");
  for (const char* roots :
       {"", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}) {
    trust.certificate->roots = roots;
    EXPECT_EQ(VerifySigstore(trust, SignWith(Issue({}))).status().code(),
              absl::StatusCode::kInvalidArgument)
        << roots;
  }
}

}  // namespace
}  // namespace davit::image
