// SPDX-License-Identifier: Apache-2.0
#include "server/cgroup/cgroup_manager.h"

#include "base/status.h"
#include "base/text.h"
#include "server/cgroup/managers.h"

namespace davit::server {

absl::StatusOr<std::unique_ptr<CgroupManager>> CgroupManager::Create(const std::string& name,
                                                                     const CgroupFs& fs) {
  if (name == "cgroupfs") {
    return std::make_unique<CgroupfsManager>(fs);
  }
  if (name == "systemd") {
    RETURN_IF_ERROR(Annotate(SystemdManager::Check(), "runtime.cgroup_manager is systemd"));
    return std::make_unique<SystemdManager>(fs);
  }
  return InvalidArgument("runtime.cgroup_manager is {}, known are cgroupfs and systemd",
                         Printable(name));
}

}  // namespace davit::server
