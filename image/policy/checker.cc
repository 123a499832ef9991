// SPDX-License-Identifier: Apache-2.0
#include "image/policy/checker.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "base/cri_errors.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "image/signature/attachments.h"
#include "image/signature/lookaside.h"
#include "image/signature/registries_d.h"
#include "image/source.h"

namespace davit::image {
namespace {

constexpr std::chrono::seconds kTimeLimit{60};
// What a rule sees of an image that has no name at all.
constexpr const char* kUnnamed = "localhost/unnamed";

bool NeedsSignatures(const Requirements& requirements) {
  const bool rejects = std::any_of(requirements.begin(), requirements.end(), [](const auto& one) {
    return one.type == Requirement::Type::kReject;
  });
  return !rejects && std::any_of(requirements.begin(), requirements.end(),
                                 [](const auto& one) { return one.needs_signatures(); });
}

absl::Status Refusal(const absl::Status& why) {
  return Unknown("{}: {}", kSignatureValidationFailed, Message(why));
}

// What makes trust impossible is a refusal; that something could not be asked is not.
absl::Status AsRefusal(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kResourceExhausted:
      return Refusal(status);
    default:
      return status;
  }
}

// Manifests that a record is known to be made of: its own, and what its names lead to.
std::vector<Digest> ManifestsOf(const storage::ImageRecord& image) {
  std::vector<Digest> manifests = {Digest::Sha256Of(image.manifest_json)};
  for (const std::string& name : image.digests) {
    const size_t at = name.find('@');
    auto digest = Digest::Parse(at == std::string::npos ? "" : name.substr(at + 1));
    if (digest.ok() && std::find(manifests.begin(), manifests.end(), *digest) == manifests.end()) {
      manifests.push_back(*std::move(digest));
    }
  }
  return manifests;
}

bool IsImageId(const std::string& name) {
  return name.starts_with("sha256:") || (name.size() == kIdLength && IsLowerHex(name));
}

}  // namespace

PolicyChecker::PolicyChecker(const config::Image& config, std::string scratch,
                             std::unique_ptr<SignatureStore> store)
    : config_(config),
      scratch_(std::move(scratch)),
      store_(std::move(store)),
      files_(config.signature_policy, config.signature_policy_dir) {}

absl::StatusOr<std::unique_ptr<PolicyChecker>> PolicyChecker::Create(
    const config::Image& config, const std::string& scratch,
    std::unique_ptr<SignatureStore> store) {
  RETURN_IF_ERROR(RemoveTree(scratch));  // of a daemon that died
  RETURN_IF_ERROR(MakeDirs(scratch));
  std::unique_ptr<PolicyChecker> checker(new PolicyChecker(config, scratch, std::move(store)));
  const auto policy = checker->files_.For("");
  if (!policy.ok()) {
    log::Error("no image can be pulled: {}", Message(policy.status()));
  } else if (policy->file.empty()) {
    log::Info("there is no {}: images are accepted without signatures", kDefaultPolicyFile);
  }
  return checker;
}

absl::Status PolicyChecker::CheckPull(Context& ctx, const ImageClaim& claim,
                                      const PullRequest& request, Source& source) const {
  return Check(ctx, claim, {.request = request, .given = &source});
}

absl::Status PolicyChecker::CheckPresent(Context& ctx, const storage::ImageRecord& image,
                                         const PullRequest& request, Source* source) const {
  const Origin origin{.request = request, .given = source};
  ImageClaim claim{.name = {}, .manifests = ManifestsOf(image)};
  if (!request.name.empty() && !IsImageId(request.name)) {
    ASSIGN_OR_RETURN(claim.name, Reference::Parse(request.name));
    return Check(ctx, claim, origin);
  }
  std::vector<std::string> names = image.tags;
  names.insert(names.end(), image.digests.begin(), image.digests.end());
  if (names.empty()) {
    names.emplace_back(kUnnamed);
  }
  absl::Status first;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(claim.name, Reference::Parse(name));
    absl::Status status = Check(ctx, claim, origin);
    if (status.ok()) {
      return status;
    }
    first.Update(status);
    RETURN_IF_ERROR(ctx.Check());
  }
  return first;
}

absl::Status PolicyChecker::Check(Context& ctx, const ImageClaim& claim,
                                  const Origin& origin) const {
  const std::string name = claim.name.canonical();
  const auto active = files_.For(origin.request.pod_namespace);
  if (!active.ok()) {
    return Refusal(Annotate(active.status(), "image " + name));
  }
  const ScopeMatch match = MatchDocker(*active->policy, claim.name);
  const absl::Status status = Verify(ctx, *match.requirements, claim, origin);
  if (status.ok()) {
    return status;
  }
  return AsRefusal(
      Annotate(status, fmt::format("image {}: {} of {}", name, match.scope, active->file)));
}

absl::Status PolicyChecker::Verify(Context& ctx, const Requirements& requirements,
                                   const ImageClaim& claim, const Origin& origin) const {
  if (!NeedsSignatures(requirements)) {
    return CheckRequirements(ctx, requirements, claim, {}, scratch_).status();
  }
  Context limited(ctx, kTimeLimit);
  limited.SetStage("verify signatures of " + claim.name.canonical());
  ASSIGN_OR_RETURN(const std::vector<Signature> kept, Kept(claim));
  if (!kept.empty() && CheckRequirements(limited, requirements, claim, kept, scratch_).ok()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<Signature> signatures, Fetch(limited, claim, origin));
  ASSIGN_OR_RETURN(std::vector<Signature> good,
                   CheckRequirements(limited, requirements, claim, signatures, scratch_));
  return Keep(claim, kept, std::move(good));
}

absl::StatusOr<std::vector<Signature>> PolicyChecker::Kept(const ImageClaim& claim) const {
  std::vector<Signature> kept;
  for (const Digest& manifest : claim.manifests) {
    if (!store_) {
      break;
    }
    ASSIGN_OR_RETURN(std::vector<Signature> more, store_->Get(manifest));
    std::move(more.begin(), more.end(), std::back_inserter(kept));
  }
  return kept;
}

absl::StatusOr<std::vector<Signature>> PolicyChecker::Fetch(Context& ctx, const ImageClaim& claim,
                                                            const Origin& origin) const {
  ASSIGN_OR_RETURN(const RegistriesD registries, RegistriesD::Load(config_.registries_d));
  const SignatureLocations locations = registries.For(claim.name);
  ctx.SetStage("fetch signatures of " + claim.name.canonical());
  std::shared_ptr<Source> made;
  if (locations.attachments && origin.given == nullptr) {
    ASSIGN_OR_RETURN(made, Source::Create(ctx, claim.name, origin.request, config_));
  }
  Source* const source = origin.given == nullptr ? made.get() : origin.given;
  std::vector<Signature> signatures;
  for (const Digest& manifest : claim.manifests) {
    ASSIGN_OR_RETURN(auto aside, FetchLookaside(ctx, locations.lookaside, claim.name, manifest));
    std::move(aside.begin(), aside.end(), std::back_inserter(signatures));
    if (locations.attachments) {
      ASSIGN_OR_RETURN(auto attached, FetchAttachments(ctx, *source, manifest));
      std::move(attached.begin(), attached.end(), std::back_inserter(signatures));
    }
  }
  return signatures;
}

absl::Status PolicyChecker::Keep(const ImageClaim& claim, const std::vector<Signature>& kept,
                                 std::vector<Signature> good) const {
  // What is kept may be good for another name or namespace.
  for (const Signature& old : kept) {
    if (good.size() < kMaxSignatures && std::find(good.begin(), good.end(), old) == good.end()) {
      good.push_back(old);
    }
  }
  // All under one of the manifests: they are asked for by all of them together.
  return store_ ? store_->Put(claim.manifests.front(), good) : absl::OkStatus();
}

absl::Status PolicyChecker::CheckFile(Context& ctx, const std::string& transport,
                                      const std::string& path) const {
  const auto active = files_.For("");
  if (!active.ok()) {
    return Refusal(Annotate(active.status(), transport + ":" + path));
  }
  const ScopeMatch match = MatchPath(*active->policy, transport, path);
  const absl::Status status =
      CheckRequirements(ctx, *match.requirements, {}, {}, scratch_).status();
  return AsRefusal(
      Annotate(status, fmt::format("{}:{}: {} of {}", transport, path, match.scope, active->file)));
}

std::string PolicyChecker::Describe() const {
  const auto active = files_.For("");
  if (!active.ok()) {
    return "refuses every image: " + Message(active.status());
  }
  return active->file.empty() ? "none: images are accepted without signatures" : active->file;
}

absl::StatusOr<std::string> PolicyChecker::Explain(const Reference& name,
                                                   const std::string& pod_namespace) const {
  ASSIGN_OR_RETURN(const ActivePolicy active, files_.For(pod_namespace));
  if (active.file.empty()) {
    return "no policy: everything is accepted";
  }
  const ScopeMatch match = MatchDocker(*active.policy, name);
  std::vector<std::string> types;
  for (const Requirement& requirement : *match.requirements) {
    types.emplace_back(requirement.type_name());
  }
  return fmt::format("{}, {}: {}", active.file, match.scope, Join(types, " and "));
}

absl::Status PolicyChecker::Sweep(const storage::Storage& storage) const {
  if (!store_) {
    return absl::OkStatus();
  }
  std::set<std::string> used;
  for (const auto& image : storage.ListImages()) {
    for (const Digest& manifest : ManifestsOf(*image)) {
      used.insert(manifest.text());
    }
  }
  return store_->Sweep([&used](const std::string& manifest) { return used.contains(manifest); });
}

}  // namespace davit::image
