// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "image/puller.h"
#include "server/api/api.pb.h"

namespace davit::server {

// The CRI's AuthConfig as the puller takes it.
image::Credentials ToCredentials(const runtime::v1::AuthConfig& auth);

}  // namespace davit::server
