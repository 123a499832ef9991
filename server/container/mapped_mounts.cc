// SPDX-License-Identifier: Apache-2.0
#include "server/container/mapped_mounts.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/file.h"
#include "base/mount.h"
#include "base/mount_tree.h"
#include "base/status.h"
#include "base/user_namespace.h"
#include "server/spec/spec.h"

namespace davit::server {
namespace {

namespace v1 = runtime::v1;

bool IsOurs(const v1::Mount& mount) {
  return spec::IsMappedMount(mount) && !spec::IsImageVolume(mount);
}

std::string KernelMap(const google::protobuf::RepeatedPtrField<v1::IDMapping>& list) {
  std::string map;
  for (const auto& range : list) {
    map += fmt::format("{} {} {}\n", range.container_id(), range.host_id(), range.length());
  }
  return map;
}

absl::Status MakeOne(const v1::Mount& mount, const std::string& target) {
  ASSIGN_OR_RETURN(const UniqueFd ns, MakeUserNamespace(KernelMap(mount.uidmappings()),
                                                        KernelMap(mount.gidmappings())));
  const absl::Status made = AttachMountTree(
      mount.host_path(), target,
      {.follow = mount.propagation() != v1::PROPAGATION_PRIVATE, .user_namespace = ns.get()});
  return absl::IsUnimplemented(made) ? WithCode(absl::StatusCode::kFailedPrecondition, made) : made;
}

}  // namespace

absl::StatusOr<std::map<int, std::string>> MakeMappedMounts(const Paths& paths,
                                                            const Container::Record& record) {
  std::map<int, std::string> made;
  for (int i = 0; i < record.config().mounts_size(); ++i) {
    const v1::Mount& mount = record.config().mounts(i);
    // What is wrong with it otherwise is said by those who look at all mounts.
    if (!IsOurs(mount) || mount.uidmappings().empty() || mount.gidmappings().empty() ||
        !mount.host_path().starts_with('/') || mount.host_path().find('\0') != std::string::npos) {
      continue;
    }
    RETURN_IF_ERROR(MakeDirs(paths.MappedMounts(record.id())));
    made[i] = JoinPath(paths.MappedMounts(record.id()), std::to_string(i));
    RETURN_IF_ERROR(Annotate(MakeOne(mount, made[i]), fmt::format("mounts[{}].uidMappings", i)));
  }
  return made;
}

absl::Status ReleaseMappedMounts(const Paths& paths, const Container::Record& record) {
  const auto& mounts = record.config().mounts();
  return std::any_of(mounts.begin(), mounts.end(), IsOurs)
             ? UnmountAllBelow(paths.MappedMounts(record.id()))
             : absl::OkStatus();
}

}  // namespace davit::server
