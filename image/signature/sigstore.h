// SPDX-License-Identifier: Apache-2.0
//
// Sigstore signatures: a payload, a detached signature of it, and perhaps a certificate of its key
// and an entry of a log.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "image/signature/certificate.h"
#include "image/signature/public_key.h"
#include "image/signature/signature.h"

namespace davit::image {

struct SigstoreTrust {
  std::vector<PublicKey> keys = {};                  // any of them; or
  std::optional<CertificateTrust> certificate = {};  // whoever this names
  std::vector<PublicKey> log_keys = {};  // not empty: one of these logs must have recorded it
};

// The payload, if the signature of it is good. PermissionDenied says what is wrong with it,
// InvalidArgument what is wrong with the trusted certificates.
absl::StatusOr<std::string> VerifySigstore(const SigstoreTrust& trust, const Signature& signature);

}  // namespace davit::image
