// SPDX-License-Identifier: Apache-2.0
#include "image/signature/payload.h"

#include "base/status.h"
#include "base/text.h"
#include "image/policy/strict_json.h"
#include "image/signature/signature.h"

namespace davit::image {
namespace {

using nlohmann::json;

// Unknown keys are the signer's own matter; what is known has to be what it should be.
absl::Status CheckOptional(const json& optional) {
  if (optional.is_null()) {
    return absl::OkStatus();  // as cosign writes it
  }
  if (!optional.is_object()) {
    return InvalidArgument("optional is not an object");
  }
  const auto creator = optional.find("creator");
  if (creator != optional.end() && !creator->is_string()) {
    return InvalidArgument("optional.creator is not a string");
  }
  const auto timestamp = optional.find("timestamp");
  if (timestamp != optional.end() && !timestamp->is_number_integer()) {
    return InvalidArgument("optional.timestamp is not a whole number");
  }
  return absl::OkStatus();
}

absl::StatusOr<const json*> ObjectAt(const json& parent, const char* key, const char* only_key,
                                     const std::string& where) {
  ASSIGN_OR_RETURN(const json* value, ValueAt(parent, key, where));
  RETURN_IF_ERROR(CheckObject(*value, {only_key}, where + "." + key));
  return value;
}

}  // namespace

absl::StatusOr<SignedClaim> ParseClaim(std::string_view payload, const char* type) {
  ASSIGN_OR_RETURN(const json root, ParseStrictJson(payload, "signed payload", kMaxSignatureBytes));
  RETURN_IF_ERROR(CheckObject(root, {"critical", "optional"}, "signed payload"));
  ASSIGN_OR_RETURN(const json* optional, ValueAt(root, "optional", "signed payload"));
  RETURN_IF_ERROR(CheckOptional(*optional));
  ASSIGN_OR_RETURN(const json* critical, ValueAt(root, "critical", "signed payload"));
  RETURN_IF_ERROR(CheckObject(*critical, {"type", "image", "identity"}, "critical"));
  ASSIGN_OR_RETURN(const std::string actual_type, StringAt(*critical, "type", "critical"));
  if (actual_type != type) {
    return InvalidArgument("critical.type is \"{}\", not \"{}\"", Printable(actual_type), type);
  }
  ASSIGN_OR_RETURN(const json* image,
                   ObjectAt(*critical, "image", "docker-manifest-digest", "critical"));
  ASSIGN_OR_RETURN(const json* identity,
                   ObjectAt(*critical, "identity", "docker-reference", "critical"));
  ASSIGN_OR_RETURN(const std::string digest,
                   StringAt(*image, "docker-manifest-digest", "critical.image"));
  SignedClaim claim;
  ASSIGN_OR_RETURN(claim.manifest, Digest::Parse(digest));
  ASSIGN_OR_RETURN(claim.reference, StringAt(*identity, "docker-reference", "critical.identity"));
  return claim;
}

}  // namespace davit::image
