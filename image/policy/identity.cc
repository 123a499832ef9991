// SPDX-License-Identifier: Apache-2.0
#include "image/policy/identity.h"

#include <optional>

#include "base/status.h"
#include "base/text.h"

namespace davit::image {
namespace {

using Type = SignedIdentity::Type;

// As it was written, normalised, without an invented tag.
struct SignedName {
  Reference reference;
  bool repository_only = false;

  [[nodiscard]] std::string text() const {
    if (repository_only) {
      return reference.repository();
    }
    const std::string tag = reference.tag.empty() ? "" : ":" + reference.tag;
    const std::string digest = reference.digest.empty() ? "" : "@" + reference.digest.text();
    return reference.repository() + tag + digest;
  }
};

absl::StatusOr<SignedName> Parse(const std::string& text) {
  ASSIGN_OR_RETURN(Reference reference, Reference::Parse(text));
  return SignedName{.reference = std::move(reference), .repository_only = !HasTagOrDigest(text)};
}

// `name` with `prefix` replaced, if it is a prefix of whole components.
std::string Remap(const std::string& name, const SignedIdentity& identity) {
  const bool matches =
      name.starts_with(identity.prefix) &&
      (name.size() == identity.prefix.size() || name[identity.prefix.size()] == '/');
  return matches ? identity.signed_prefix + name.substr(identity.prefix.size()) : name;
}

// The name that the signature must have: whole, or (for kRepository) only its repository.
struct Wanted {
  std::string name;
  bool repository = false;
};

absl::StatusOr<Wanted> WantedName(const SignedIdentity& identity, const Reference& image) {
  const bool by_digest = !image.digest.empty();
  switch (identity.type) {
    case Type::kMatchExact:
      return Wanted{image.canonical(), false};
    case Type::kMatchRepoDigestOrExact:
      return by_digest ? Wanted{image.repository(), true} : Wanted{image.canonical(), false};
    case Type::kMatchRepository:
      return Wanted{image.repository(), true};
    case Type::kRemapIdentity: {
      const std::string repository = Remap(image.repository(), identity);
      return by_digest ? Wanted{repository, true} : Wanted{repository + ":" + image.tag, false};
    }
    case Type::kExactReference: {
      ASSIGN_OR_RETURN(const SignedName exact, Parse(identity.value));
      return Wanted{exact.text(), false};
    }
    case Type::kExactRepository: {
      ASSIGN_OR_RETURN(const SignedName exact, Parse(identity.value));
      return Wanted{exact.text(), true};
    }
  }
  return Internal("unknown type of signedIdentity");
}

}  // namespace

bool HasTagOrDigest(std::string_view name) {
  if (name.find('@') != std::string_view::npos) {
    return true;
  }
  const size_t slash = name.rfind('/');
  const std::string_view last = slash == std::string_view::npos ? name : name.substr(slash);
  return last.find(':') != std::string_view::npos;
}

absl::Status CheckIdentity(const SignedIdentity& identity, const Reference& image,
                           const std::string& signed_as) {
  const auto name = Parse(signed_as);
  if (!name.ok()) {
    return PermissionDenied("it is signed as '{}', which is no image name", Printable(signed_as));
  }
  ASSIGN_OR_RETURN(const Wanted wanted, WantedName(identity, image));
  if (wanted.repository) {
    if (name->reference.repository() == wanted.name) {
      return absl::OkStatus();
    }
    return PermissionDenied("it is signed as {}, not in repository {}", name->text(), wanted.name);
  }
  if (name->repository_only) {
    return PermissionDenied("it is signed as {}, without a tag; {} is wanted", name->text(),
                            wanted.name);
  }
  if (name->text() != wanted.name) {
    return PermissionDenied("it is signed as {}, not as {}", name->text(), wanted.name);
  }
  return absl::OkStatus();
}

}  // namespace davit::image
