// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "image/puller.h"
#include "server/api/api.pb.h"

namespace davit::server {

// What the CRI's PullImage and Davit's own both ask for, as the puller takes it.
image::PullRequest ToPullRequest(const runtime::v1::ImageSpec& image,
                                 const runtime::v1::AuthConfig& auth,
                                 const runtime::v1::PodSandboxConfig& pod);

}  // namespace davit::server
