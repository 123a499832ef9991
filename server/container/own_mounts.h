// SPDX-License-Identifier: Apache-2.0
//
// Mounts of a request that Davit makes itself, as copies in the container's run directory which the
// OCI runtime then binds like any others: those that are to be ID-mapped (Mount.uidMappings,
// gidMappings), so that it does not matter whether the runtime can; and those whose path somebody
// could let lead elsewhere until the runtime looks it up.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"

#include "server/container/mount_sources.h"
#include "server/node.h"
#include "server/paths.h"

namespace davit::server {

// The copies' paths by the index of the mount. What was made stays after a failure, too, until
// ReleaseOwnMounts. FailedPrecondition where kernel or file system cannot, InvalidArgument for
// mappings that the kernel refuses.
absl::StatusOr<std::map<int, std::string>> MakeOwnMounts(const Paths& paths,
                                                         const Container::Record& record,
                                                         const MountSources& sources);

// They hold the volumes' file systems: gone with the container's last process. Idempotent.
absl::Status ReleaseOwnMounts(const Paths& paths, const std::string& container_id);

}  // namespace davit::server
