// SPDX-License-Identifier: Apache-2.0
//
// `davit policy check`: asks the signature policy about an image as a pull would, without the
// daemon and without pulling.
#include <stdlib.h>

#include <chrono>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "config/load.h"
#include "image/manifest.h"
#include "image/policy/checker.h"
#include "image/source.h"
#include "server/cli/commands.h"

namespace davit::server::cli {
namespace {

constexpr std::chrono::minutes kTimeout{2};
constexpr int kMaxIndexDepth = 3;

absl::StatusOr<config::Config> ConfigOf(const PolicyOptions& options) {
  if (!options.config_file.empty()) {
    return config::LoadFile(options.config_file);
  }
  return PathExists(config::kDefaultPath) ? config::LoadFile(config::kDefaultPath)
                                          : config::Config();
}

// The manifests that the name leads to on this platform.
absl::StatusOr<image::ImageClaim> Resolve(Context& ctx, const image::Reference& name,
                                          image::Source& source) {
  std::string wanted = name.manifest_reference();
  image::ImageClaim claim{.name = name, .manifests = {}};
  for (int depth = 0; depth <= kMaxIndexDepth; ++depth) {
    ASSIGN_OR_RETURN(const image::Document document, source.FetchManifest(ctx, wanted));
    ASSIGN_OR_RETURN(const auto kind, image::KindOf(document.json, document.content_type));
    claim.manifests.insert(claim.manifests.begin(), document.digest);
    if (kind != image::DocumentKind::kIndex) {
      return claim;
    }
    ASSIGN_OR_RETURN(const auto entry,
                     image::ChooseFromIndex(document.json, image::Platform::Host()));
    wanted = entry.digest.text();
  }
  return InvalidArgument("image indexes are nested more than {} deep", kMaxIndexDepth);
}

}  // namespace

absl::Status RunPolicyCheck(const PolicyOptions& options) {
  ASSIGN_OR_RETURN(const config::Config config, ConfigOf(options));
  const auto& search = config.image.unqualified_search;
  ASSIGN_OR_RETURN(const auto name, search.empty()
                                        ? image::Reference::Parse(options.image)
                                        : image::Reference::Parse(options.image, search.front()));
  std::string scratch = "/tmp/davit-policy-XXXXXX";
  if (mkdtemp(scratch.data()) == nullptr) {
    return ErrnoStatus(errno, "make a temporary directory in /tmp");
  }
  const auto remove =
      absl::MakeCleanup([&scratch] { log::IfError(RemoveTree(scratch), "remove " + scratch); });
  ASSIGN_OR_RETURN(const auto checker,
                   image::PolicyChecker::Create(config.image, scratch, nullptr));
  ASSIGN_OR_RETURN(const std::string asked, checker->Explain(name, options.pod_namespace));
  fmt::print("{}\n{}\n", name.canonical(), asked);
  Context ctx(kTimeout);
  // Without the namespace: the login that is there for its next pull is not ours to take.
  ASSIGN_OR_RETURN(const auto source, image::Source::Create(ctx, name, {.name = ""}, config.image));
  ASSIGN_OR_RETURN(const image::ImageClaim claim, Resolve(ctx, name, *source));
  RETURN_IF_ERROR(checker->CheckPull(
      ctx, claim, {.name = name.canonical(), .pod_namespace = options.pod_namespace}, *source));
  fmt::print("accepted\n");
  return absl::OkStatus();
}

}  // namespace davit::server::cli
