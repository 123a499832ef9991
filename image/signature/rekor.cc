// SPDX-License-Identifier: Apache-2.0
#include "image/signature/rekor.h"

#include <algorithm>

#include "absl/strings/escaping.h"

#include "base/digest.h"
#include "base/json.h"
#include "base/status.h"
#include "image/policy/strict_json.h"

namespace davit::image {
namespace {

using nlohmann::json;

absl::Status Wrong(const std::string& what) {
  return PermissionDenied("its entry of the Rekor log {}", what);
}

absl::StatusOr<std::string> Base64At(const json& object, const char* key) {
  std::string bytes;
  if (!absl::Base64Unescape(JsonString(object, key), &bytes) || bytes.empty()) {
    return Wrong(fmt::format("has no base64 in \"{}\"", key));
  }
  return bytes;
}

// The signed form: the payload's keys in their order, without white space (RFC 8785, which for
// these strings and whole numbers is what dump() writes).
absl::StatusOr<json> VerifiedPayload(const std::vector<PublicKey>& keys, const std::string& text) {
  auto bundle = ParseStrictJson(text, "bundle", kMaxSignatureBytes);
  if (!bundle.ok()) {
    return Wrong("is not well-formed: " + Message(bundle.status()));
  }
  json payload = JsonChild(*bundle, "Payload");
  ASSIGN_OR_RETURN(const std::string timestamp, Base64At(*bundle, "SignedEntryTimestamp"));
  const std::string canonical = DumpJson(payload);
  const bool signed_by_log = std::any_of(keys.begin(), keys.end(), [&](const PublicKey& key) {
    return key.Verifies(canonical, timestamp);
  });
  if (!signed_by_log) {
    return Wrong("is not signed by the log's key");
  }
  return payload;
}

absl::Status CheckBody(const std::string& body, const Signature& signature,
                       const std::string& key_der) {
  auto entry = ParseStrictJson(body, "body", kMaxSignatureBytes);
  if (!entry.ok()) {
    return Wrong("is not well-formed: " + Message(entry.status()));
  }
  if (JsonString(*entry, "kind") != "hashedrekord" || JsonString(*entry, "apiVersion") != "0.0.1") {
    return Wrong("is not a hashedrekord 0.0.1");
  }
  const json& spec = JsonChild(*entry, "spec");
  const json& logged = JsonChild(spec, "signature");
  ASSIGN_OR_RETURN(const std::string key_pem, Base64At(JsonChild(logged, "publicKey"), "content"));
  if (DecodePem(key_pem).value_or("") != key_der) {
    return Wrong("is about another key");
  }
  ASSIGN_OR_RETURN(const std::string content, Base64At(logged, "content"));
  std::string own;
  if (!absl::Base64Unescape(signature.signature, &own) || own != content) {
    return Wrong("is about another signature");
  }
  const json& hash = JsonChild(JsonChild(spec, "data"), "hash");
  if (JsonString(hash, "algorithm") != "sha256" ||
      JsonString(hash, "value") != Digest::Sha256Of(signature.message).hex()) {
    return Wrong("is about another payload");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::time_t> CheckRekorBundle(const std::vector<PublicKey>& log_keys,
                                             const Signature& signature,
                                             const std::string& key_der) {
  if (signature.bundle.empty()) {
    return PermissionDenied("it has no entry of a Rekor log");
  }
  ASSIGN_OR_RETURN(const json payload, VerifiedPayload(log_keys, signature.bundle));
  ASSIGN_OR_RETURN(const std::string body, Base64At(payload, "body"));
  RETURN_IF_ERROR(CheckBody(body, signature, key_der));
  const int64_t time = JsonInt(payload, "integratedTime", 0);
  if (time <= 0) {
    return Wrong("has no time");
  }
  return static_cast<std::time_t>(time);
}

}  // namespace davit::image
