// SPDX-License-Identifier: Apache-2.0
//
// ID-mapped mounts of a request (Mount.uidMappings, gidMappings). Davit makes them itself, as
// copies in the container's run directory which the OCI runtime then binds like any others: so it
// does not matter whether the runtime can.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"

#include "server/node.h"
#include "server/paths.h"

namespace davit::server {

// The copies' paths by the index of the mount; image volumes are not among them. What was made
// stays after a failure, too, until ReleaseMappedMounts. FailedPrecondition where kernel or file
// system cannot, InvalidArgument for mappings that the kernel refuses.
absl::StatusOr<std::map<int, std::string>> MakeMappedMounts(const Paths& paths,
                                                            const Container::Record& record);

// They hold the volumes' file systems: gone with the container's last process. Idempotent.
absl::Status ReleaseMappedMounts(const Paths& paths, const Container::Record& record);

}  // namespace davit::server
