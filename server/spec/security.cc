// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "server/spec/container_path.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

bool HasOptions(const runtime::v1::SELinuxOption& options) {
  return !options.user().empty() || !options.role().empty() || !options.type().empty() ||
         !options.level().empty();
}

absl::Status CheckSelinux(const SpecInput& input) {
  const bool container = HasOptions(SecurityContext(input).selinux_options());
  const bool sandbox = HasOptions(input.sandbox.linux().security_context().selinux_options());
  // A kernel without SELinux enforces no label whoever asks for it.
  if ((container || sandbox) && !input.selinux_is_on && KernelHasSelinux(input.sys_root)) {
    return Unimplemented(
        "{}selinux_options: this node labels no containers; set runtime.selinux in its "
        "configuration",
        container ? "" : "sandbox ");
  }
  return absl::OkStatus();
}

absl::StatusOr<Json> CleanPaths(const google::protobuf::RepeatedPtrField<std::string>& paths,
                                const std::string& field) {
  Json list = Json::array();
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(std::string clean, CleanContainerPath(path, field));
    list.push_back(std::move(clean));
  }
  return list;
}

}  // namespace

std::string ProcessLabel(const SpecInput& input, const Json& process) {
  constexpr std::array<std::string_view, 4> kInits = {
      "/sbin/init", "/usr/sbin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd"};
  const Json& args = JsonChild(process, "args");
  const std::string program =
      args.empty() || !args[0].is_string() ? "" : args[0].get<std::string>();
  const bool is_init = program == "systemd" || program == "init" ||
                       std::find(kInits.begin(), kInits.end(), program) != kInits.end();
  return is_init && !input.selinux.init.empty() ? input.selinux.init : input.selinux.process;
}

bool KernelHasSelinux(const std::string& sys_root) {
  return PathExists(JoinPath(sys_root, "fs/selinux/enforce"));
}

absl::Status CheckSupported(const SpecInput& input) {
  if (input.container.has_windows()) {
    return InvalidArgument("windows: this is a Linux node");
  }
  if (IsPrivileged(input) && !input.sandbox.linux().security_context().privileged()) {
    return FailedPrecondition(
        "privileged: the pod sandbox was not made for privileged containers; set it in the "
        "sandbox's security context too");
  }
  return CheckSelinux(input);
}

absl::StatusOr<PathLists> BuildPathLists(const SpecInput& input) {
  PathLists lists;
  if (IsPrivileged(input)) {
    return lists;
  }
  const auto& context = SecurityContext(input);
  ASSIGN_OR_RETURN(lists.masked, CleanPaths(context.masked_paths(), "masked_paths"));
  ASSIGN_OR_RETURN(lists.readonly, CleanPaths(context.readonly_paths(), "readonly_paths"));
  return lists;
}

}  // namespace davit::server::spec
