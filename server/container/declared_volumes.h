// SPDX-License-Identifier: Apache-2.0
//
// Volumes that an image declares (VOLUME) and the request does not mount, made as the configuration
// (image.volumes) says.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"

#include "base/rooted_path.h"
#include "image/image_config.h"
#include "server/node.h"

namespace davit::server {

// `root_fd` is the container's mounted root file system. Returns what the spec binds: container
// path
// -> host path; empty unless image.volumes is "bind". A volume begins empty, with owner and mode of
// the image's directory.
absl::StatusOr<std::map<std::string, std::string>> PrepareDeclaredVolumes(
    Node& node, const Container::Record& record, const image::ImageConfig& image, int root_fd,
    const Owner& pod_root);

}  // namespace davit::server
