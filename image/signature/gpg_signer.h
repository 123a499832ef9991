// SPDX-License-Identifier: Apache-2.0
//
// Test-only: keys and signatures made by the real gpg, in a home directory of its own that goes,
// with its agent, when the object does.
#pragma once

#include <string>
#include <vector>

#include "image/test_util.h"

namespace davit::image {

class GpgSigner {
 public:
  GpgSigner();
  ~GpgSigner();
  GpgSigner(const GpgSigner&) = delete;
  GpgSigner& operator=(const GpgSigner&) = delete;

  // Makes a key that signs and returns its fingerprint. `options` go before the command, e.g.
  // "--faked-system-time".
  std::string MakeKey(const std::string& user, const std::string& expires = "never",
                      const std::vector<std::string>& options = {});
  // The public key, binary.
  std::string Export(const std::string& fingerprint);
  void Revoke(const std::string& fingerprint);
  // A binary signed message of `payload`.
  std::string Sign(const std::string& fingerprint, const std::string& payload,
                   const std::vector<std::string>& options = {});
  // Any command; its output. Fails the test if it fails.
  std::string Gpg(const std::vector<std::string>& arguments, const std::string& input = "");

  [[nodiscard]] const std::string& home() const { return home_.path(); }

 private:
  TempDir home_;
};

// The payload of a simple signature.
std::string SimpleSigningPayload(const std::string& digest, const std::string& reference);

}  // namespace davit::image
