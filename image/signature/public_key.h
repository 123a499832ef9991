// SPDX-License-Identifier: Apache-2.0
//
// Public keys that signatures are checked with: ECDSA on P-256, P-384 or P-521, RSA of at least
// 2048 bits (PKCS #1 v1.5), both over SHA-256, and Ed25519. OpenSSL's headers stay in the .cc.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

struct evp_pkey_st;

namespace davit::image {

// Immutable; copies share the key. Thread-safe.
class PublicKey {
 public:
  // One "PUBLIC KEY" in PEM and nothing after it. InvalidArgument says what is wrong.
  static absl::StatusOr<PublicKey> ParsePem(const std::string& pem);
  // Takes `key`. InvalidArgument for a kind of key that is not used.
  static absl::StatusOr<PublicKey> Adopt(evp_pkey_st* key);

  [[nodiscard]] bool Verifies(std::string_view message, std::string_view signature) const;
  // SubjectPublicKeyInfo.
  [[nodiscard]] std::string Der() const;

 private:
  explicit PublicKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
  std::shared_ptr<evp_pkey_st> key_;
};

// The content of the one PEM block in `pem`, whatever its type; InvalidArgument if there is not
// exactly one.
absl::StatusOr<std::string> DecodePem(const std::string& pem);

}  // namespace davit::image
