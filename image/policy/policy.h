// SPDX-License-Identifier: Apache-2.0
//
// A signature policy, as containers-policy.json(5) defines it: what an image must prove before this
// node takes it, by transport and scope. Read strictly: an unknown or doubled key, a type that is
// not implemented, an empty list of requirements refuse the whole file. Plain values, immutable
// once parsed.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace davit::image {

// Who the signature has to say that the image is ("signedIdentity").
struct SignedIdentity {
  enum class Type {
    kMatchExact,
    kMatchRepoDigestOrExact,
    kMatchRepository,
    kExactReference,
    kExactRepository,
    kRemapIdentity,
  };
  Type type = Type::kMatchRepoDigestOrExact;
  std::string value = {};          // of exactReference and exactRepository
  std::string prefix = {};         // of remapIdentity
  std::string signed_prefix = {};  // of remapIdentity
};

// Keys or certificates: in a file that is read when they are needed, or in the policy itself.
struct KeySource {
  std::string path = {};  // absolute; "": `data` holds them
  std::string data = {};

  // For messages: the path, or where in the policy they are.
  [[nodiscard]] std::string name() const { return path.empty() ? "keys in the policy" : path; }
};

// A signer whom a certificate names, issued for one signature by a Fulcio CA.
struct FulcioSigner {
  KeySource ca;
  std::string oidc_issuer;
  std::string subject_email;
};

// A signer whom a certificate of the operator's own CA names.
struct PkiSigner {
  KeySource roots;
  std::optional<KeySource> intermediates = {};
  std::string subject_email = {};  // at least one of the two
  std::string subject_hostname = {};
};

struct Requirement {
  enum class Type { kAcceptAnything, kReject, kSignedBy, kSigstoreSigned };
  Type type = Type::kReject;
  std::vector<KeySource> keys = {};  // any of them
  std::optional<FulcioSigner> fulcio = {};
  std::optional<PkiSigner> pki = {};
  std::vector<KeySource> rekor_keys = {};  // not empty: a log of one of these must have recorded it
  SignedIdentity identity = {};

  [[nodiscard]] const char* type_name() const;  // as the file says it
  [[nodiscard]] bool needs_signatures() const {
    return type == Type::kSignedBy || type == Type::kSigstoreSigned;
  }
};

using Requirements = std::vector<Requirement>;  // all of them; never empty

struct Policy {
  Requirements fallback;                                              // "default"
  std::map<std::string, std::map<std::string, Requirements>> scopes;  // by transport and scope
};

inline constexpr size_t kMaxPolicyBytes = size_t{1} << 20U;

// InvalidArgument names the place in the file and the mistake.
absl::StatusOr<Policy> ParsePolicy(std::string_view text);

// Everything accepted: what counts where there is no policy at all.
Policy AcceptAnythingPolicy();

}  // namespace davit::image
