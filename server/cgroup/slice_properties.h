// SPDX-License-Identifier: Apache-2.0
//
// Limits in the words of systemd (systemd.resource-control(5)).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "server/api/api.pb.h"
#include "server/cgroup/systemd_bus.h"

namespace davit::server {

// What is not set has no property. Of `unified`, files that systemd writes too; the others it
// leaves alone. InvalidArgument for a list of CPUs or a number that cannot be one.
absl::StatusOr<std::vector<systemd::Property>> SliceProperties(
    const runtime::v1::LinuxContainerResources& resources, bool cgroup_v2);

}  // namespace davit::server
