// SPDX-License-Identifier: Apache-2.0
//
// User namespaces that no process lives in: what mounts are ID-mapped by (base/idmapped_mount.h)
// and what pods are put into.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "base/fd.h"

namespace davit {

// A new user namespace, held by its descriptor. The maps as /proc/PID/uid_map wants them:
// "INSIDE OUTSIDE COUNT\n" for each range. InvalidArgument for maps that the kernel refuses,
// ResourceExhausted where user.max_user_namespaces is reached.
absl::StatusOr<UniqueFd> MakeUserNamespace(const std::string& uid_map, const std::string& gid_map);

}  // namespace davit
