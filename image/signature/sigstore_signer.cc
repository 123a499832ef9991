// SPDX-License-Identifier: Apache-2.0
#include "image/signature/sigstore_signer.h"

#include "absl/strings/escaping.h"
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/digest.h"
#include "base/json.h"

namespace davit::image {
namespace {

using nlohmann::json;

std::string Base64(const std::string& bytes) {
  std::string text;
  absl::Base64Escape(bytes, &text);
  return text;
}

std::string Drain(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

EVP_PKEY* MakeKey(const std::string& kind) {
  if (kind == "ED25519") {
    return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  }
  if (kind.starts_with("RSA")) {
    return EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA",
                             static_cast<size_t>(std::stoul(kind.substr(3))));
  }
  return EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", kind.c_str());
}

const EVP_MD* HashOf(EVP_PKEY* key) {
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
}

void AddExtension(X509* certificate, int nid, const std::string& value) {
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
  ASSERT_NE(extension, nullptr) << value;
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

void AddRawExtension(X509* certificate, const char* oid, const std::string& value) {
  ASN1_OBJECT* const object = OBJ_txt2obj(oid, 1);
  ASN1_OCTET_STRING* const text = ASN1_OCTET_STRING_new();
  ASN1_OCTET_STRING_set(text, reinterpret_cast<const unsigned char*>(value.data()),
                        static_cast<int>(value.size()));
  X509_EXTENSION* const extension = X509_EXTENSION_create_by_OBJ(nullptr, object, 0, text);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  ASN1_OCTET_STRING_free(text);
  ASN1_OBJECT_free(object);
}

X509* Fill(const SigstoreKey& key, const CertificateOptions& options) {
  X509* const certificate = X509_new();
  X509_set_version(certificate, 2);
  static long serial = 0;
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), options.not_before);
  X509_gmtime_adj(X509_getm_notAfter(certificate), options.not_after);
  X509_set_pubkey(certificate, key.get());
  const std::string name = "certificate " + std::to_string(serial);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  AddExtension(certificate, NID_basic_constraints, options.ca ? "critical,CA:TRUE" : "CA:FALSE");
  if (!options.usage.empty() && !options.ca) {
    AddExtension(certificate, NID_ext_key_usage, options.usage);
  }
  if (!options.subject_alt_name.empty()) {
    AddExtension(certificate, NID_subject_alt_name, "critical," + options.subject_alt_name);
  }
  if (!options.oidc_issuer.empty()) {
    const std::string& issuer = options.oidc_issuer;
    AddRawExtension(certificate, "1.3.6.1.4.1.57264.1.1", issuer);
    AddRawExtension(certificate, "1.3.6.1.4.1.57264.1.8",
                    "\x0c" + std::string(1, static_cast<char>(issuer.size())) + issuer);
  }
  return certificate;
}

}  // namespace

SigstoreKey::SigstoreKey(const std::string& kind) : key_(MakeKey(kind), EVP_PKEY_free) {}

std::string SigstoreKey::PublicPem() const {
  BIO* const bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(bio, key_.get());
  return Drain(bio);
}

std::string SigstoreKey::Sign(const std::string& message) const {
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  EVP_DigestSignInit(context, nullptr, HashOf(key_.get()), nullptr, key_.get());
  const auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
  size_t size = 0;
  EVP_DigestSign(context, nullptr, &size, bytes, message.size());
  std::string signature(size, '\0');
  EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size, bytes,
                 message.size());
  signature.resize(size);
  EVP_MD_CTX_free(context);
  return Base64(signature);
}

TestCertificate::TestCertificate(const SigstoreKey& key, const CertificateOptions& options)
    : certificate_(Fill(key, options), X509_free) {
  X509_set_issuer_name(certificate_.get(), X509_get_subject_name(certificate_.get()));
  X509_sign(certificate_.get(), key.get(), HashOf(key.get()));
}

TestCertificate::TestCertificate(const SigstoreKey& key, const CertificateOptions& options,
                                 const TestCertificate& ca, const SigstoreKey& ca_key)
    : certificate_(Fill(key, options), X509_free) {
  X509_set_issuer_name(certificate_.get(), X509_get_subject_name(ca.certificate_.get()));
  X509_sign(certificate_.get(), ca_key.get(), HashOf(ca_key.get()));
}

std::string TestCertificate::Pem() const {
  BIO* const bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate_.get());
  return Drain(bio);
}

std::string SigstorePayload(const std::string& digest, const std::string& reference) {
  return R"({"critical":{"identity":{"docker-reference":")" + reference +
         R"("},"image":{"docker-manifest-digest":")" + digest +
         R"("},"type":"cosign container image signature"},"optional":null})";
}

Signature SignSigstore(const SigstoreKey& key, const std::string& payload) {
  return {.kind = Signature::Kind::kSigstore,
          .origin = "test",
          .message = payload,
          .signature = key.Sign(payload)};
}

std::string RekorBundle(const SigstoreKey& log, const Signature& signature,
                        const std::string& key_pem, int64_t time) {
  const json body = {
      {"apiVersion", "0.0.1"},
      {"kind", "hashedrekord"},
      {"spec",
       {{"data",
         {{"hash",
           {{"algorithm", "sha256"}, {"value", Digest::Sha256Of(signature.message).hex()}}}}},
        {"signature",
         {{"content", signature.signature}, {"publicKey", {{"content", Base64(key_pem)}}}}}}}};
  const json payload = {{"body", Base64(body.dump())},
                        {"integratedTime", time},
                        {"logIndex", 7},
                        {"logID", std::string(64, 'c')}};
  // As the log signs it, and then with the keys in another order and white space.
  return R"({"SignedEntryTimestamp": ")" + log.Sign(payload.dump()) + R"(", "Payload": )" +
         payload.dump(2) + "}";
}

}  // namespace davit::image
