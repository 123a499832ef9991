// SPDX-License-Identifier: Apache-2.0
//
// Pulls what a registry has that is no container image: an OCI artifact (image-spec "Guidelines for
// Artifact Usage"). The pull pipeline hands over once it has seen the manifest.
#pragma once

#include <memory>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "image/pull.h"
#include "image/source.h"

namespace davit::image {

struct FoundArtifact {
  const Reference& reference;  // what was asked for
  Digest top_digest;           // of what the reference names: an index or the manifest itself
  Document manifest;           // digest checked
  std::shared_ptr<Source> source;
};

// FailedPrecondition names the artifact's type if it cannot be kept here.
absl::StatusOr<PullResult> PullArtifact(Context& ctx, const PullEnvironment& environment,
                                        const FoundArtifact& artifact, PullProgress& progress);

}  // namespace davit::image
