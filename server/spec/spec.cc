// SPDX-License-Identifier: Apache-2.0
#include "server/spec/spec.h"

#include "base/status.h"
#include "base/text.h"
#include "server/spec/container_path.h"
#include "server/spec/sections.h"

namespace davit::server::spec {
namespace {

constexpr char kOciVersion[] = "1.0.2";

absl::StatusOr<Json> BuildLinux(const SpecInput& input, const Capabilities& capabilities) {
  Json section = Json::object();
  ASSIGN_OR_RETURN(section["namespaces"], BuildNamespaces(input));
  if (HasUserNamespace(input.sandbox)) {
    const auto& pod = input.sandbox.linux().security_context().namespace_options();
    section["uidMappings"] = IdMappingsJson(pod.userns_options().uids());
    section["gidMappings"] = IdMappingsJson(pod.userns_options().gids());
  }
  ASSIGN_OR_RETURN(section["resources"], BuildResources(input.container.linux().resources(),
                                                        input.cgroup_v2, input.sys_root));
  ASSIGN_OR_RETURN(Devices devices, BuildDevices(input, "/dev"));
  section["devices"] = std::move(devices.nodes);
  section["resources"]["devices"] = std::move(devices.rules);
  if (input.node.pids_limit > 0) {
    section["resources"]["pids"] = {{"limit", input.node.pids_limit}};
  }
  ASSIGN_OR_RETURN(Json block_io, BuildBlockIo(input));
  if (!block_io.is_null()) {
    section["resources"]["blockIO"] = std::move(block_io);
  }
  if (!input.cgroup.empty()) {
    section["cgroupsPath"] = input.cgroup;
  }
  ASSIGN_OR_RETURN(PathLists paths, BuildPathLists(input));
  section["maskedPaths"] = std::move(paths.masked);
  section["readonlyPaths"] = std::move(paths.readonly);
  ASSIGN_OR_RETURN(Json seccomp, BuildSeccomp(input, capabilities));
  if (!seccomp.is_null()) {
    section["seccomp"] = std::move(seccomp);
  }
  ASSIGN_OR_RETURN(Json rdt, BuildRdt(input));
  if (!rdt.is_null()) {
    section["intelRdt"] = std::move(rdt);
  }
  return section;
}

struct Built {
  Json config;
  User user;
  std::string seccomp_calls;
};

absl::StatusOr<Built> BuildConfig(SpecInput input) {
  RETURN_IF_ERROR(CheckSupported(input));
  Built built;
  Json& config = built.config;
  ASSIGN_OR_RETURN(built.user, ResolveUser(input));
  RETURN_IF_ERROR(CheckUserIsMapped(input, built.user));
  input.passwd_file = built.user.passwd.empty() ? "" : input.passwd_path;
  input.group_file = built.user.group.empty() ? "" : input.group_path;
  ASSIGN_OR_RETURN(const Capabilities capabilities, ResolveCapabilities(input));
  config["ociVersion"] = kOciVersion;
  ASSIGN_OR_RETURN(config["process"], BuildProcess(input, built.user, capabilities));
  ASSIGN_OR_RETURN(const std::string apparmor, ResolveAppArmor(input));
  if (!apparmor.empty()) {
    config["process"]["apparmorProfile"] = apparmor;
  }
  if (std::string label = ProcessLabel(input, config["process"]); !label.empty()) {
    config["process"]["selinuxLabel"] = std::move(label);
  }
  config["root"] = {{"path", input.rootfs}, {"readonly", SecurityContext(input).readonly_rootfs()}};
  ASSIGN_OR_RETURN(Mounts mounts, BuildMounts(input));
  config["mounts"] = std::move(mounts.list);
  config["annotations"] = BuildAnnotations(input);
  ASSIGN_OR_RETURN(config["linux"], BuildLinux(input, capabilities));
  if (!input.seccomp_listener.empty() && config["linux"].contains("seccomp")) {
    ASSIGN_OR_RETURN(built.seccomp_calls,
                     AddSeccompNotifier(input.seccomp_listener, config["linux"]["seccomp"]));
  }
  if (!input.selinux.mount.empty()) {
    config["linux"]["mountLabel"] = input.selinux.mount;
  }
  if (!mounts.rootfs_propagation.empty()) {
    config["linux"]["rootfsPropagation"] = mounts.rootfs_propagation;
  }
  // Last: they edit what all others have made.
  RETURN_IF_ERROR(ApplyCdi(input, config));
  RETURN_IF_ERROR(AddHooks(input, config));
  return built;
}

bool HasEnv(const Json& process, const std::string& prefix) {
  for (const Json& entry : JsonChild(process, "env")) {
    if (entry.is_string() && entry.get<std::string>().rfind(prefix, 0) == 0) {
      return true;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<SpecOutput> BuildSpec(const SpecInput& input) {
  const std::string name = "container " + Printable(input.container.metadata().name(), 80);
  absl::StatusOr<Built> built = BuildConfig(input);
  if (!built.ok()) {
    return Annotate(built.status(), name);
  }
  const absl::StatusOr<runtime::v1::Signal> stop_signal = ResolveStopSignal(input);
  if (!stop_signal.ok()) {
    return Annotate(stop_signal.status(), name);
  }
  SpecOutput output;
  output.config_json = DumpJson(built->config);
  output.stop_signal = *stop_signal;
  output.passwd = built->user.passwd;
  output.group = built->user.group;
  output.seccomp_calls = built->seccomp_calls;
  runtime::v1::LinuxContainerUser* user = output.user.mutable_linux();
  user->set_uid(built->user.uid);
  user->set_gid(built->user.gid);
  for (const int64_t group : built->user.groups) {
    user->add_supplemental_groups(group);
  }
  return output;
}

absl::StatusOr<std::string> ExecProcess(const std::string& config_json,
                                        const std::vector<std::string>& command, bool tty,
                                        std::optional<int> cpu) {
  if (command.empty() || command[0].empty()) {
    return InvalidArgument("exec: the command is empty");
  }
  for (const std::string& arg : command) {
    if (arg.find('\0') != std::string::npos || !IsUtf8(arg)) {
      return InvalidArgument("exec: the argument \"{}\" holds a NUL byte or is not UTF-8",
                             Printable(arg));
    }
  }
  ASSIGN_OR_RETURN(const Json config, ParseJson(config_json, "container config"));
  Json process = JsonChild(config, "process");
  if (!process.is_object() || process.empty()) {
    return DataLoss("container config: has no process");
  }
  process["args"] = command;
  process["terminal"] = tty;
  process.erase("consoleSize");
  if (tty && !HasEnv(process, "TERM=")) {
    process["env"].push_back("TERM=xterm");
  }
  if (cpu) {
    // Not `initial`: runtimes fail where the cpuset that they are started in has no such CPU.
    process["execCPUAffinity"] = {{"final", std::to_string(*cpu)}};
  }
  return DumpJson(process);
}

}  // namespace davit::server::spec
