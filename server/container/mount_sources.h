// SPDX-License-Identifier: Apache-2.0
//
// The host paths that a container's mounts name. One that is not there becomes an empty directory,
// as users of other container engines expect (a hostPath volume without a type), unless the node
// says that it is to be there already. Each is walked once (base/host_path.h), here; what was found
// there is what is mounted, whatever becomes of the path afterwards.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/host_path.h"
#include "server/api/api.pb.h"

namespace davit::server {

// By the index of the mount. Image volumes are not among them, nor what is no absolute path: that
// is for the builder of the config to judge.
using MountSources = std::map<int, HostPath>;

// Makes what is missing (0755). FailedPrecondition for one in `to_reject`; InvalidArgument where a
// file or a dangling symlink stands in the way; PermissionDenied for symlinks as OpenHostPath. What
// is made stays, also if the container does not come about: others may have begun to use it.
absl::StatusOr<MountSources> OpenMountSources(const runtime::v1::ContainerConfig& config,
                                              const std::vector<std::string>& to_reject);

}  // namespace davit::server
