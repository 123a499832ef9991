// SPDX-License-Identifier: Apache-2.0
//
// Mounts of a container whose source is an image or OCI artifact (the CRI's Mount.image): found
// and checked before the container has a record, then mounted by storage, once for all containers,
// and given to the spec builder as host paths. Messages of all errors begin as the kubelet expects
// of image volumes.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "server/api/api.pb.h"
#include "server/node.h"

namespace davit::server {

// Writes the ID of each volume's image into its image_ref, which ContainerStatus shows. NotFound
// for an image that is not here, InvalidArgument for a volume that is not read-only, has a host
// path or a sub path that is not relative or has ".."; what CheckImagePolicy says of an image that
// the signature policy refuses.
absl::Status ResolveImageVolumes(const Node& node, Context& ctx, const std::string& pod_namespace,
                                 runtime::v1::ContainerConfig& config);

// Mounts them and resolves sub paths beneath the images' roots, whatever their symlinks say: host
// paths by the index of the mount. What was mounted stays until storage's ReleaseImageVolumes, also
// after a failure. NotFound for a sub path that does not exist, FailedPrecondition for one that is
// no directory. `mappings` are of the pod's user namespace.
absl::StatusOr<std::map<int, std::string>> MountImageVolumes(Node& node, Context& ctx,
                                                             const Container::Record& record,
                                                             const storage::IdMappings& mappings);

}  // namespace davit::server
