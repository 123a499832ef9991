// SPDX-License-Identifier: Apache-2.0
//
// SELinux labels of one container and of the files that are its own (server/selinux/). Where
// nothing is labelled all of these do nothing.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "server/container/mount_sources.h"
#include "server/node.h"
#include "server/selinux/labeller.h"

namespace davit::server {

// None for a pod that was made when nothing was labelled.
absl::StatusOr<selinux::Labels> LabelsOf(const Node& node, const Sandbox::Record& sandbox,
                                         const Container::Record& container);

// What the mounts of the request ask for (selinux_relabel): their sources get the container's
// label. Not for a container that is not confined, nor for image volumes. With the annotation
// davit.io/try-skip-volume-selinux-label (or CRI-O's) "true", allowed by the handler, a source that
// has the label is taken as done.
absl::Status RelabelSources(const Node& node, Context& ctx, const Sandbox::Record& sandbox,
                            const Container::Record& container, const selinux::Labels& labels,
                            const MountSources& sources);

}  // namespace davit::server
