// SPDX-License-Identifier: Apache-2.0
#include "server/image/image_policy.h"

#include <algorithm>

#include "base/id.h"
#include "base/status.h"
#include "image/policy/checker.h"
#include "server/image/image_view.h"

namespace davit::server {
namespace {

// A prefix of an ID may also be a name: it is one if the image has it.
bool IsIdOf(const storage::ImageRecord& image, const std::string& name) {
  return name.starts_with("sha256:") || image.id.starts_with(name);
}

// The full name that `wanted` stands for: of several, one that the image has.
absl::StatusOr<std::string> NameOf(const Node& node, const storage::ImageRecord& image,
                                   const std::string& wanted) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, node.puller.Names(wanted));
  for (const std::string& name : names) {
    for (const auto* known : {&image.tags, &image.digests}) {
      if (std::find(known->begin(), known->end(), name) != known->end()) {
        return name;
      }
    }
  }
  if (names.empty()) {
    return FailedPrecondition("short name '{}' stands for no image here", wanted);
  }
  return names.front();
}

}  // namespace

absl::Status CheckImagePolicy(const Node& node, Context& ctx, const storage::ImageRecord& image,
                              const runtime::v1::ImageSpec& spec,
                              const std::string& pod_namespace) {
  const std::string& wanted =
      spec.user_specified_image().empty() ? spec.image() : spec.user_specified_image();
  image::PullRequest request{.name = "", .pod_namespace = pod_namespace};
  if (!wanted.empty() && !IsIdOf(image, wanted)) {
    ASSIGN_OR_RETURN(request.name, NameOf(node, image, wanted));
  }
  return node.policy.CheckPresent(ctx, image, request);
}

}  // namespace davit::server
