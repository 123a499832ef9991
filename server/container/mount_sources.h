// SPDX-License-Identifier: Apache-2.0
//
// Host paths that a container mounts and that are not there: they become empty directories, as
// users of other container engines expect (a hostPath volume without a type), unless the node says
// that they are to be there already.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"

#include "server/api/api.pb.h"

namespace davit::server {

// Makes what is missing (0755). FailedPrecondition for one in `to_reject`; InvalidArgument where a
// file or a dangling symlink stands in the way. What is made stays, also if the container does not
// come about: others may have begun to use it.
absl::Status MakeMountSources(const runtime::v1::ContainerConfig& config,
                              const std::vector<std::string>& to_reject);

}  // namespace davit::server
