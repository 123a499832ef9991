// SPDX-License-Identifier: Apache-2.0
//
// Signers named by a certificate: who holds the key, by word of a CA that the policy trusts. The
// certificate must be for code signing, or (not with Fulcio) not say what it is for. Revocation
// lists are not read: Fulcio's certificates live for minutes, and a CA of one's own is changed in
// the policy.
#pragma once

#include <ctime>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

#include "image/signature/public_key.h"

namespace davit::image {

struct CertificateTrust {
  std::string roots;                  // PEM, one or more
  std::string intermediates = {};     // PEM, may be empty
  std::string oidc_issuer = {};       // "": not looked at
  std::string subject_email = {};     // "": not looked at
  std::string subject_hostname = {};  // "": not looked at
};

// The key of `certificate` (one, PEM), if it and its `chain` (PEM, from the signature, may be
// empty) lead to a root at the time `at`, and it names the signer. PermissionDenied says what is
// wrong with it, InvalidArgument what is wrong with the trusted certificates.
absl::StatusOr<PublicKey> KeyOfCertificate(const CertificateTrust& trust,
                                           const std::string& certificate, const std::string& chain,
                                           std::time_t at);

}  // namespace davit::image
