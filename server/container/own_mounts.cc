// SPDX-License-Identifier: Apache-2.0
#include "server/container/own_mounts.h"

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

std::string KernelMap(const google::protobuf::RepeatedPtrField<v1::IDMapping>& list) {
  std::string map;
  for (const auto& range : list) {
    map += fmt::format("{} {} {}\n", range.container_id(), range.host_id(), range.length());
  }
  return map;
}

absl::Status MakeOne(const v1::Mount& mount, const HostPath& source, const std::string& target) {
  TreeOptions options{.follow = mount.propagation() != v1::PROPAGATION_PRIVATE,
                      .peer = mount.propagation() == v1::PROPAGATION_BIDIRECTIONAL,
                      .source = source.fd.get()};
  UniqueFd ns;
  if (spec::IsMappedMount(mount)) {
    ASSIGN_OR_RETURN(
        ns, MakeUserNamespace(KernelMap(mount.uidmappings()), KernelMap(mount.gidmappings())));
    options.user_namespace = ns.get();
    options.peer = false;
  }
  const absl::Status made = AttachMountTree(source.path, target, options);
  return absl::IsUnimplemented(made) ? WithCode(absl::StatusCode::kFailedPrecondition, made) : made;
}

bool IsMapped(const v1::Mount& mount) {
  // One without the other is refused by those who look at all mounts.
  return !mount.uidmappings().empty() && !mount.gidmappings().empty();
}

}  // namespace

absl::StatusOr<std::map<int, std::string>> MakeOwnMounts(const Paths& paths,
                                                         const Container::Record& record,
                                                         const MountSources& sources) {
  std::map<int, std::string> made;
  for (const auto& [index, source] : sources) {
    const v1::Mount& mount = record.config().mounts(index);
    if (!IsMapped(mount) && (!source.movable || spec::IsMappedMount(mount))) {
      continue;
    }
    RETURN_IF_ERROR(MakeDirs(paths.OwnMounts(record.id())));
    made[index] = JoinPath(paths.OwnMounts(record.id()), std::to_string(index));
    RETURN_IF_ERROR(
        Annotate(MakeOne(mount, source, made[index]),
                 fmt::format("mounts[{}]{}", index, IsMapped(mount) ? ".uidMappings" : "")));
  }
  return made;
}

absl::Status ReleaseOwnMounts(const Paths& paths, const std::string& container_id) {
  const std::string directory = paths.OwnMounts(container_id);
  return PathExists(directory) ? UnmountAllBelow(directory) : absl::OkStatus();
}

}  // namespace davit::server
