// SPDX-License-Identifier: Apache-2.0
#include "storage/lower_mounts.h"

#include "base/file.h"
#include "base/id.h"
#include "base/idmapped_mount.h"
#include "base/log.h"
#include "base/mount.h"
#include "base/status.h"

namespace davit::storage {

LowerMounts::~LowerMounts() {
  for (const std::string& path : attached_) {
    log::IfError(Unmount(path), "unmount a lower directory");
    log::IfError(RemoveFile(path), "remove a mount point");
  }
}

absl::StatusOr<std::string> LowerMounts::NewTarget() {
  std::string target = JoinPath(scratch_, NewId().substr(0, 16));
  RETURN_IF_ERROR(MakeDirs(target));
  attached_.push_back(target);
  return target;
}

absl::StatusOr<std::string> LowerMounts::Attach(const UniqueFd& mount) {
  ASSIGN_OR_RETURN(std::string target, NewTarget());
  RETURN_IF_ERROR(AttachMount(mount.get(), target));
  return target;
}

}  // namespace davit::storage
