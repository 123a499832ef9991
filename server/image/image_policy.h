// SPDX-License-Identifier: Apache-2.0
//
// The signature policy asked about an image that a pod is to use: of a container, or mounted as a
// volume. To be called before anything is made of the image, on a thread that may wait.
#pragma once

#include <string>

#include "absl/status/status.h"

#include "base/context.h"
#include "server/api/api.pb.h"
#include "server/node.h"
#include "storage/storage.h"

namespace davit::server {

// `image` is what `spec` was resolved to. The name that has to pass is the one the user wrote
// (user_specified_image), else the one in `spec`, else, where that is an ID, any that the image
// has. A refusal begins with "SignatureValidationFailed: "; image/policy/checker.h says more.
absl::Status CheckImagePolicy(const Node& node, Context& ctx, const storage::ImageRecord& image,
                              const runtime::v1::ImageSpec& spec, const std::string& pod_namespace);

}  // namespace davit::server
