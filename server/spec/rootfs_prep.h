// SPDX-License-Identifier: Apache-2.0
//
// What a mounted root file system needs before the OCI runtime is called. Changes nothing but what
// lies beneath the root it is given.
#pragma once

#include "absl/status/status.h"

#include "image/image_config.h"
#include "server/api/api.pb.h"

namespace davit::server::spec {

// Makes the directories of the image's volumes, resolved beneath `root_fd` whatever their paths and
// the image's symlinks say. Volumes that a mount of the request covers are left to the runtime.
absl::Status PrepareRootfs(int root_fd, const image::ImageConfig& image,
                           const runtime::v1::ContainerConfig& container);

}  // namespace davit::server::spec
