// SPDX-License-Identifier: Apache-2.0
//
// Test-only: keys, certificates, log entries and signatures as sigstore's tools make them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "image/signature/signature.h"

struct evp_pkey_st;
struct x509_st;

namespace davit::image {

class SigstoreKey {
 public:
  // "P-256", "P-384", "ED25519", "RSA2048", "RSA1024".
  explicit SigstoreKey(const std::string& kind = "P-256");
  [[nodiscard]] std::string PublicPem() const;
  [[nodiscard]] std::string Sign(const std::string& message) const;  // base64
  [[nodiscard]] evp_pkey_st* get() const { return key_.get(); }

 private:
  std::shared_ptr<evp_pkey_st> key_;
};

struct CertificateOptions {
  std::string subject_alt_name = {};  // "email:a@example.com", "DNS:x.example"
  std::string oidc_issuer = {};       // by both of Fulcio's extensions
  std::string usage = "codeSigning";  // "": does not say
  bool ca = false;
  int64_t not_before = 0;  // seconds from now
  int64_t not_after = 600;
};

class TestCertificate {
 public:
  // Signed by itself.
  TestCertificate(const SigstoreKey& key, const CertificateOptions& options);
  TestCertificate(const SigstoreKey& key, const CertificateOptions& options,
                  const TestCertificate& ca, const SigstoreKey& ca_key);
  [[nodiscard]] std::string Pem() const;

 private:
  std::shared_ptr<x509_st> certificate_;
};

std::string SigstorePayload(const std::string& digest, const std::string& reference);
Signature SignSigstore(const SigstoreKey& key, const std::string& payload);
// The entry of a log about `signature`, made at `time`. `key_pem`: public key or certificate.
std::string RekorBundle(const SigstoreKey& log, const Signature& signature,
                        const std::string& key_pem, int64_t time);

}  // namespace davit::image
