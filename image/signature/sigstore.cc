// SPDX-License-Identifier: Apache-2.0
#include "image/signature/sigstore.h"

#include <ctime>

#include "absl/strings/escaping.h"

#include "base/status.h"
#include "image/signature/rekor.h"

namespace davit::image {
namespace {

absl::Status VerifyWithKeys(const SigstoreTrust& trust, const Signature& signature,
                            const std::string& bytes) {
  absl::Status status =
      PermissionDenied("its content was changed, or it is by a key that the policy does not name");
  for (const PublicKey& key : trust.keys) {
    if (!key.Verifies(signature.message, bytes)) {
      continue;
    }
    status = trust.log_keys.empty()
                 ? absl::OkStatus()
                 : CheckRekorBundle(trust.log_keys, signature, key.Der()).status();
    if (status.ok()) {
      return status;
    }
  }
  return status;
}

absl::Status VerifyWithCertificate(const SigstoreTrust& trust, const Signature& signature,
                                   const std::string& bytes) {
  std::time_t at = std::time(nullptr);
  if (!trust.log_keys.empty()) {
    // The certificate must have been valid when the signature was made: the log says when.
    auto der = DecodePem(signature.certificate);
    if (!der.ok()) {
      return PermissionDenied("it does not come with exactly one well-formed certificate");
    }
    ASSIGN_OR_RETURN(at, CheckRekorBundle(trust.log_keys, signature, *der));
  }
  ASSIGN_OR_RETURN(const PublicKey key, KeyOfCertificate(*trust.certificate, signature.certificate,
                                                         signature.chain, at));
  if (!key.Verifies(signature.message, bytes)) {
    return PermissionDenied("its content was changed, or it is not by the key of its certificate");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> VerifySigstore(const SigstoreTrust& trust, const Signature& signature) {
  std::string bytes;
  if (!absl::Base64Unescape(signature.signature, &bytes) || bytes.empty()) {
    return PermissionDenied("its signature is not base64");
  }
  RETURN_IF_ERROR(trust.certificate ? VerifyWithCertificate(trust, signature, bytes)
                                    : VerifyWithKeys(trust, signature, bytes));
  return signature.message;
}

}  // namespace davit::image
