// SPDX-License-Identifier: Apache-2.0
#include "image/artifact.h"

#include "base/json.h"
#include "base/status.h"
#include "base/text.h"

namespace davit::image {

absl::StatusOr<PullResult> PullArtifact(Context& /*ctx*/, const PullEnvironment& /*environment*/,
                                        const FoundArtifact& artifact, PullProgress& /*progress*/) {
  ASSIGN_OR_RETURN(const nlohmann::json root,
                   ParseJson(artifact.manifest.json, "manifest", kMaxManifestBytes));
  return FailedPrecondition("config has media type '{}': an artifact, not a container image",
                            Printable(JsonString(JsonChild(root, "config"), "mediaType"), 150));
}

}  // namespace davit::image
