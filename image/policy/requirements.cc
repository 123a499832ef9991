// SPDX-License-Identifier: Apache-2.0
#include "image/policy/requirements.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "image/policy/identity.h"
#include "image/signature/gpg.h"
#include "image/signature/payload.h"
#include "image/signature/sigstore.h"

namespace davit::image {
namespace {

constexpr size_t kMaxKeyBytes = size_t{1} << 20U;
constexpr size_t kReasonsShown = 3;

absl::StatusOr<std::string> ReadKey(const KeySource& source) {
  if (source.path.empty()) {
    return source.data;
  }
  auto bytes = ReadFile(source.path, kMaxKeyBytes);
  return bytes.ok() ? bytes : Annotate(bytes.status(), "key file of the policy");
}

absl::StatusOr<std::vector<PublicKey>> ReadPublicKeys(const std::vector<KeySource>& sources) {
  std::vector<PublicKey> keys;
  for (const KeySource& source : sources) {
    ASSIGN_OR_RETURN(const std::string pem, ReadKey(source));
    auto key = PublicKey::ParsePem(pem);
    if (!key.ok()) {
      return Annotate(key.status(), "public key of " + source.name());
    }
    keys.push_back(*std::move(key));
  }
  return keys;
}

absl::StatusOr<SigstoreTrust> TrustOf(const Requirement& requirement) {
  SigstoreTrust trust;
  ASSIGN_OR_RETURN(trust.keys, ReadPublicKeys(requirement.keys));
  ASSIGN_OR_RETURN(trust.log_keys, ReadPublicKeys(requirement.rekor_keys));
  if (requirement.fulcio) {
    CertificateTrust fulcio;
    ASSIGN_OR_RETURN(fulcio.roots, ReadKey(requirement.fulcio->ca));
    fulcio.oidc_issuer = requirement.fulcio->oidc_issuer;
    fulcio.subject_email = requirement.fulcio->subject_email;
    trust.certificate = std::move(fulcio);
  }
  if (requirement.pki) {
    CertificateTrust pki;
    ASSIGN_OR_RETURN(pki.roots, ReadKey(requirement.pki->roots));
    if (requirement.pki->intermediates) {
      ASSIGN_OR_RETURN(pki.intermediates, ReadKey(*requirement.pki->intermediates));
    }
    pki.subject_email = requirement.pki->subject_email;
    pki.subject_hostname = requirement.pki->subject_hostname;
    trust.certificate = std::move(pki);
  }
  return trust;
}

// What a good signature says, against what is asked.
absl::Status CheckClaim(const std::string& payload, const char* type,
                        const Requirement& requirement, const ImageClaim& claim) {
  const auto said = ParseClaim(payload, type);
  if (!said.ok()) {
    return PermissionDenied("what it signs cannot be accepted: {}", Message(said.status()));
  }
  if (std::find(claim.manifests.begin(), claim.manifests.end(), said->manifest) ==
      claim.manifests.end()) {
    return PermissionDenied("it is of manifest {}", said->manifest.text());
  }
  return CheckIdentity(requirement.identity, claim.name, said->reference);
}

// Tries each signature of the kind until one is good.
absl::StatusOr<Signature> FirstGood(const std::vector<Signature>& signatures, Signature::Kind kind,
                                    const std::function<absl::Status(const Signature&)>& check) {
  std::vector<std::string> reasons;
  size_t tried = 0;
  for (const Signature& signature : signatures) {
    if (signature.kind != kind) {
      continue;
    }
    const absl::Status status = check(signature);
    if (status.ok()) {
      return signature;
    }
    if (!absl::IsPermissionDenied(status)) {
      return status;
    }
    if (++tried <= kReasonsShown) {
      reasons.push_back(Printable(signature.origin) + ": " + Message(status));
    }
  }
  if (tried == 0) {
    return PermissionDenied("the image has no signature of this kind");
  }
  if (tried > kReasonsShown) {
    reasons.push_back(fmt::format("and {} more", tried - kReasonsShown));
  }
  return PermissionDenied("no signature is good: {}", Join(reasons, "; "));
}

absl::StatusOr<Signature> CheckSignedBy(Context& ctx, const Requirement& requirement,
                                        const ImageClaim& claim,
                                        const std::vector<Signature>& signatures,
                                        const std::string& scratch) {
  std::vector<std::string> keyrings;
  std::vector<std::string> names;
  for (const KeySource& source : requirement.keys) {
    ASSIGN_OR_RETURN(std::string bytes, ReadKey(source));
    keyrings.push_back(std::move(bytes));
    names.push_back(source.name());
  }
  ctx.SetStage("verify signatures with gpg");
  auto keyring = GpgKeyring::Create(ctx, scratch, keyrings);
  if (!keyring.ok()) {
    return Annotate(keyring.status(), Join(names, ", "));
  }
  return FirstGood(
      signatures, Signature::Kind::kSimpleSigning, [&](const Signature& signature) -> absl::Status {
        ASSIGN_OR_RETURN(const std::string payload, keyring->Verify(ctx, signature.message));
        return CheckClaim(payload, kSimpleSigningType, requirement, claim);
      });
}

absl::StatusOr<Signature> CheckSigstore(const Requirement& requirement, const ImageClaim& claim,
                                        const std::vector<Signature>& signatures) {
  ASSIGN_OR_RETURN(const SigstoreTrust trust, TrustOf(requirement));
  return FirstGood(signatures, Signature::Kind::kSigstore,
                   [&](const Signature& signature) -> absl::Status {
                     ASSIGN_OR_RETURN(const std::string payload, VerifySigstore(trust, signature));
                     return CheckClaim(payload, kSigstoreType, requirement, claim);
                   });
}

// The signature that meets it; nothing if it needs none.
absl::StatusOr<std::optional<Signature>> CheckOne(Context& ctx, const Requirement& requirement,
                                                  const ImageClaim& claim,
                                                  const std::vector<Signature>& signatures,
                                                  const std::string& scratch) {
  switch (requirement.type) {
    case Requirement::Type::kAcceptAnything:
      return std::nullopt;
    case Requirement::Type::kReject:
      return PermissionDenied("it accepts no image");
    case Requirement::Type::kSignedBy:
      return CheckSignedBy(ctx, requirement, claim, signatures, scratch);
    case Requirement::Type::kSigstoreSigned:
      return CheckSigstore(requirement, claim, signatures);
  }
  return Internal("unknown type of requirement");
}

}  // namespace

absl::StatusOr<std::vector<Signature>> CheckRequirements(Context& ctx,
                                                         const Requirements& requirements,
                                                         const ImageClaim& claim,
                                                         const std::vector<Signature>& signatures,
                                                         const std::string& scratch) {
  std::vector<Signature> good;
  for (size_t i = 0; i < requirements.size(); ++i) {
    const Requirement& requirement = requirements[i];
    RETURN_IF_ERROR(ctx.Check());
    auto met = CheckOne(ctx, requirement, claim, signatures, scratch);
    if (!met.ok()) {
      return Annotate(met.status(), fmt::format("requirement {} ({}) is not met", i + 1,
                                                requirement.type_name()));
    }
    if (*met) {
      good.push_back(**std::move(met));
    }
  }
  return good;
}

}  // namespace davit::image
