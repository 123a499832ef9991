// SPDX-License-Identifier: Apache-2.0
//
// What a mounted root file system needs before the OCI runtime is called. Changes nothing but what
// lies beneath the root it is given, whatever paths and symlinks the image has. What is made
// belongs to `owner`: the pod's root.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/rooted_path.h"
#include "image/image_config.h"
#include "server/api/api.pb.h"

namespace davit::server::spec {

// Makes the directories of the volumes that the image declares (VOLUME); returns where they lie, as
// clean container paths without symlinks. Volumes that a mount of the request covers are left to
// the runtime.
absl::StatusOr<std::vector<std::string>> MakeDeclaredVolumes(
    int root_fd, const image::ImageConfig& image, const runtime::v1::ContainerConfig& container,
    const Owner& owner = {});

// /etc/mtab -> /proc/mounts for programs that still read it, unless the image has one, or no /etc.
absl::Status LinkMtab(int root_fd, const Owner& owner = {});

}  // namespace davit::server::spec
