// SPDX-License-Identifier: Apache-2.0
#include "image/policy/requirement_parser.h"

#include <initializer_list>

#include "absl/strings/escaping.h"

#include "base/status.h"
#include "base/text.h"
#include "image/policy/identity.h"
#include "image/policy/strict_json.h"
#include "image/reference.h"

namespace davit::image {
namespace {

using nlohmann::json;

absl::StatusOr<KeySource> FromPath(const json& value, const std::string& where) {
  if (!value.is_string() || !value.get_ref<const std::string&>().starts_with('/')) {
    return InvalidArgument("{} is not an absolute path", where);
  }
  return KeySource{.path = value.get<std::string>()};
}

absl::StatusOr<KeySource> FromData(const json& value, const std::string& where) {
  KeySource source;
  if (!value.is_string() ||
      !absl::Base64Unescape(value.get_ref<const std::string&>(), &source.data) ||
      source.data.empty()) {
    return InvalidArgument("{} is not base64 of anything", where);
  }
  return source;
}

using Reader = absl::StatusOr<KeySource> (*)(const json&, const std::string&);

absl::Status AppendAll(const json& value, const std::string& where, Reader read,
                       std::vector<KeySource>& into) {
  if (!value.is_array() || value.empty()) {
    return InvalidArgument("{} is not a list of at least one entry", where);
  }
  for (const json& entry : value) {
    ASSIGN_OR_RETURN(auto source, read(entry, where));
    into.push_back(std::move(source));
  }
  return absl::OkStatus();
}

// The keys that say where keys come from: "keyPath" or "rekorPublicKeyPath", and so on.
struct KeyNames {
  const char* path;
  const char* paths;
  const char* data;
  const char* datas;  // null: there is none
};
constexpr KeyNames kGpgKeys = {"keyPath", "keyPaths", "keyData", nullptr};
constexpr KeyNames kSigstoreKeys = {"keyPath", "keyPaths", "keyData", "keyDatas"};
constexpr KeyNames kRekorKeys = {"rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData",
                                 "rekorPublicKeyDatas"};

// What at most one of the names gives; nothing if none is there.
absl::StatusOr<std::vector<KeySource>> ParseKeys(const json& value, const KeyNames& names,
                                                 const std::string& where) {
  std::vector<KeySource> keys;
  int present = 0;
  for (const char* name : {names.path, names.paths, names.data, names.datas}) {
    const auto it = name == nullptr ? value.end() : value.find(name);
    if (it == value.end()) {
      continue;
    }
    const std::string here = fmt::format("{}: \"{}\"", where, name);
    const Reader read = name == names.path || name == names.paths ? FromPath : FromData;
    if (name == names.paths || name == names.datas) {
      RETURN_IF_ERROR(AppendAll(*it, here, read, keys));
    } else {
      ASSIGN_OR_RETURN(auto source, read(*it, here));
      keys.push_back(std::move(source));
    }
    ++present;
  }
  if (present > 1) {
    return InvalidArgument("{}: only one of {}, {} and {} may be given", where, names.path,
                           names.paths, names.data);
  }
  return keys;
}

// Exactly one of a path and a text of certificates; nothing if neither is there.
absl::StatusOr<std::optional<KeySource>> ParseCertificates(const json& value, const char* path,
                                                           const char* data,
                                                           const std::string& where) {
  const bool has_path = value.contains(path);
  const bool has_data = value.contains(data);
  if (has_path && has_data) {
    return InvalidArgument("{}: only one of {} and {} may be given", where, path, data);
  }
  if (!has_path && !has_data) {
    return std::nullopt;
  }
  const char* const key = has_path ? path : data;
  const std::string here = fmt::format("{}: \"{}\"", where, key);
  ASSIGN_OR_RETURN(KeySource source,
                   has_path ? FromPath(value[key], here) : FromData(value[key], here));
  return source;
}

absl::StatusOr<FulcioSigner> ParseFulcio(const json& value, const std::string& where) {
  RETURN_IF_ERROR(CheckObject(value, {"caPath", "caData", "oidcIssuer", "subjectEmail"}, where));
  FulcioSigner fulcio;
  ASSIGN_OR_RETURN(auto ca, ParseCertificates(value, "caPath", "caData", where));
  if (!ca) {
    return InvalidArgument("{} lacks caPath or caData", where);
  }
  fulcio.ca = *std::move(ca);
  ASSIGN_OR_RETURN(fulcio.oidc_issuer, StringAt(value, "oidcIssuer", where));
  ASSIGN_OR_RETURN(fulcio.subject_email, StringAt(value, "subjectEmail", where));
  if (fulcio.oidc_issuer.empty() || fulcio.subject_email.empty()) {
    return InvalidArgument("{}: oidcIssuer and subjectEmail must not be empty", where);
  }
  return fulcio;
}

absl::StatusOr<PkiSigner> ParsePki(const json& value, const std::string& where) {
  RETURN_IF_ERROR(CheckObject(value,
                              {"caRootsPath", "caRootsData", "caIntermediatesPath",
                               "caIntermediatesData", "subjectEmail", "subjectHostname"},
                              where));
  PkiSigner pki;
  ASSIGN_OR_RETURN(auto roots, ParseCertificates(value, "caRootsPath", "caRootsData", where));
  if (!roots) {
    return InvalidArgument("{} lacks caRootsPath or caRootsData", where);
  }
  pki.roots = *std::move(roots);
  ASSIGN_OR_RETURN(pki.intermediates,
                   ParseCertificates(value, "caIntermediatesPath", "caIntermediatesData", where));
  ASSIGN_OR_RETURN(pki.subject_email, OptionalStringAt(value, "subjectEmail", where));
  ASSIGN_OR_RETURN(pki.subject_hostname, OptionalStringAt(value, "subjectHostname", where));
  if (pki.subject_email.empty() && pki.subject_hostname.empty()) {
    return InvalidArgument("{} lacks subjectEmail or subjectHostname", where);
  }
  return pki;
}

// A host, or a repository or a part of it, without tag and digest.
absl::Status CheckPrefix(const std::string& prefix, const std::string& where) {
  const size_t slash = prefix.find('/');
  const std::string_view path =
      slash == std::string::npos ? std::string_view() : std::string_view(prefix).substr(slash);
  if (prefix.empty() || path.find_first_of(":@") != std::string_view::npos ||
      prefix.find('@') != std::string::npos || prefix.back() == '/' ||
      !Reference::Parse(prefix + "/x").ok()) {
    return InvalidArgument("{}: '{}' is not host[:port][/path] without tag and digest", where,
                           Printable(prefix));
  }
  return absl::OkStatus();
}

absl::StatusOr<SignedIdentity> ParseRemap(const json& value, const std::string& where) {
  RETURN_IF_ERROR(CheckObject(value, {"type", "prefix", "signedPrefix"}, where));
  SignedIdentity identity{.type = SignedIdentity::Type::kRemapIdentity};
  ASSIGN_OR_RETURN(identity.prefix, StringAt(value, "prefix", where));
  ASSIGN_OR_RETURN(identity.signed_prefix, StringAt(value, "signedPrefix", where));
  RETURN_IF_ERROR(CheckPrefix(identity.prefix, where));
  RETURN_IF_ERROR(CheckPrefix(identity.signed_prefix, where));
  return identity;
}

absl::StatusOr<SignedIdentity> ParseExact(const json& value, SignedIdentity::Type type,
                                          const char* key, const std::string& where) {
  RETURN_IF_ERROR(CheckObject(value, {"type", key}, where));
  SignedIdentity identity{.type = type};
  ASSIGN_OR_RETURN(identity.value, StringAt(value, key, where));
  auto reference = Reference::Parse(identity.value);
  if (!reference.ok()) {
    return Annotate(reference.status(), where);
  }
  if (type == SignedIdentity::Type::kExactReference && !HasTagOrDigest(identity.value)) {
    return InvalidArgument("{}: '{}' has neither tag nor digest", where, Printable(identity.value));
  }
  if (type == SignedIdentity::Type::kExactRepository && HasTagOrDigest(identity.value)) {
    return InvalidArgument("{}: '{}' must be a repository, without tag and digest", where,
                           Printable(identity.value));
  }
  return identity;
}

absl::StatusOr<SignedIdentity> ParseIdentity(const json& value, const std::string& where) {
  using Type = SignedIdentity::Type;
  if (!value.is_object()) {
    return InvalidArgument("{} is not an object", where);
  }
  ASSIGN_OR_RETURN(const std::string type, StringAt(value, "type", where));
  if (type == "exactReference") {
    return ParseExact(value, Type::kExactReference, "dockerReference", where);
  }
  if (type == "exactRepository") {
    return ParseExact(value, Type::kExactRepository, "dockerRepository", where);
  }
  if (type == "remapIdentity") {
    return ParseRemap(value, where);
  }
  RETURN_IF_ERROR(CheckObject(value, {"type"}, where));
  if (type == "matchExact") {
    return SignedIdentity{.type = Type::kMatchExact};
  }
  if (type == "matchRepoDigestOrExact") {
    return SignedIdentity{.type = Type::kMatchRepoDigestOrExact};
  }
  if (type == "matchRepository") {
    return SignedIdentity{.type = Type::kMatchRepository};
  }
  return InvalidArgument("{}: unknown type \"{}\"", where, Printable(type));
}

absl::Status ParseIdentityOf(const json& value, const std::string& where,
                             Requirement& requirement) {
  if (value.contains("signedIdentity")) {
    ASSIGN_OR_RETURN(requirement.identity,
                     ParseIdentity(value["signedIdentity"], where + ": \"signedIdentity\""));
  }
  return absl::OkStatus();
}

absl::StatusOr<Requirement> ParseSignedBy(const json& value, const std::string& where) {
  RETURN_IF_ERROR(CheckObject(
      value, {"type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity"}, where));
  Requirement requirement{.type = Requirement::Type::kSignedBy};
  ASSIGN_OR_RETURN(const std::string key_type, StringAt(value, "keyType", where));
  if (key_type != "GPGKeys") {
    return InvalidArgument("{}: keyType \"{}\" is not known, only \"GPGKeys\" is", where,
                           Printable(key_type));
  }
  ASSIGN_OR_RETURN(requirement.keys, ParseKeys(value, kGpgKeys, where));
  if (requirement.keys.empty()) {
    return InvalidArgument("{} lacks keyPath, keyPaths or keyData", where);
  }
  RETURN_IF_ERROR(ParseIdentityOf(value, where, requirement));
  return requirement;
}

absl::Status ParseSigners(const json& value, const std::string& where, Requirement& requirement) {
  ASSIGN_OR_RETURN(requirement.keys, ParseKeys(value, kSigstoreKeys, where));
  if (value.contains("fulcio")) {
    ASSIGN_OR_RETURN(requirement.fulcio, ParseFulcio(value["fulcio"], where + ": \"fulcio\""));
  }
  if (value.contains("pki")) {
    ASSIGN_OR_RETURN(requirement.pki, ParsePki(value["pki"], where + ": \"pki\""));
  }
  const int ways =
      (requirement.keys.empty() ? 0 : 1) + (requirement.fulcio ? 1 : 0) + (requirement.pki ? 1 : 0);
  if (ways != 1) {
    return InvalidArgument(
        "{} needs exactly one of keyPath, keyPaths, keyData, keyDatas, fulcio and pki", where);
  }
  return absl::OkStatus();
}

absl::StatusOr<Requirement> ParseSigstoreSigned(const json& value, const std::string& where) {
  RETURN_IF_ERROR(CheckObject(
      value,
      {"type", "keyPath", "keyPaths", "keyData", "keyDatas", "fulcio", "pki", "rekorPublicKeyPath",
       "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas", "signedIdentity"},
      where));
  Requirement requirement{.type = Requirement::Type::kSigstoreSigned};
  RETURN_IF_ERROR(ParseSigners(value, where, requirement));
  ASSIGN_OR_RETURN(requirement.rekor_keys, ParseKeys(value, kRekorKeys, where));
  if (requirement.fulcio && requirement.rekor_keys.empty()) {
    return InvalidArgument(
        "{}: with fulcio a rekorPublicKey… must be given: certificates live for "
        "minutes, the log says when one was used",
        where);
  }
  RETURN_IF_ERROR(ParseIdentityOf(value, where, requirement));
  return requirement;
}

}  // namespace

absl::StatusOr<Requirement> ParseRequirement(const json& value, const std::string& where) {
  if (!value.is_object()) {
    return InvalidArgument("{} is not an object", where);
  }
  ASSIGN_OR_RETURN(const std::string type, StringAt(value, "type", where));
  if (type == "signedBy") {
    return ParseSignedBy(value, where);
  }
  if (type == "sigstoreSigned") {
    return ParseSigstoreSigned(value, where);
  }
  RETURN_IF_ERROR(CheckObject(value, {"type"}, where));
  if (type == "insecureAcceptAnything") {
    return Requirement{.type = Requirement::Type::kAcceptAnything};
  }
  if (type == "reject") {
    return Requirement{.type = Requirement::Type::kReject};
  }
  return InvalidArgument("{}: unknown type \"{}\"", where, Printable(type));
}

}  // namespace davit::image
