// SPDX-License-Identifier: Apache-2.0
#include "server/sandbox/pod_config.h"

#include <arpa/inet.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <string_view>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "server/sandbox/user_namespace.h"
#include "server/spec/spec.h"

namespace davit::server {
namespace {

namespace v1 = runtime::v1;

constexpr size_t kMaxNamePart = 512;
constexpr size_t kMaxHostname = 64;  // of the kernel: __NEW_UTS_LEN
constexpr size_t kMaxDnsEntries = 64;
constexpr int kMaxPort = 65535;

bool IsControl(char c) {
  return static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
}

// Parts of a name become part of a path (the default log directory) and of log lines.
absl::Status CheckNamePart(const char* field, const std::string& value) {
  if (value.empty()) {
    return InvalidArgument("sandbox config: metadata.{} is missing", field);
  }
  if (value.size() > kMaxNamePart) {
    return InvalidArgument("sandbox config: metadata.{} has {} characters, at most {} are allowed",
                           field, value.size(), kMaxNamePart);
  }
  if (value == "." || value == ".." || value.find('/') != std::string::npos ||
      std::any_of(value.begin(), value.end(), IsControl)) {
    return InvalidArgument(
        "sandbox config: metadata.{} is {}: slashes, spaces and control characters are not allowed",
        field, Printable(value));
  }
  return absl::OkStatus();
}

absl::Status CheckMetadata(const v1::PodSandboxConfig& config) {
  if (!config.has_metadata()) {
    return InvalidArgument("sandbox config: metadata is missing");
  }
  RETURN_IF_ERROR(CheckNamePart("name", config.metadata().name()));
  RETURN_IF_ERROR(CheckNamePart("namespace", config.metadata().namespace_()));
  return CheckNamePart("uid", config.metadata().uid());
}

absl::Status CheckHostname(const std::string& hostname) {
  if (hostname.size() > kMaxHostname) {
    return InvalidArgument("sandbox config: hostname {} is longer than the kernel's {} characters",
                           Printable(hostname), kMaxHostname);
  }
  if (hostname.find('/') != std::string::npos ||
      std::any_of(hostname.begin(), hostname.end(), IsControl)) {
    return InvalidArgument(
        "sandbox config: hostname {} holds characters that no host name may have",
        Printable(hostname));
  }
  return absl::OkStatus();
}

absl::Status CheckLogDirectory(const std::string& path) {
  if (path.empty()) {
    return absl::OkStatus();
  }
  const auto parts = Split(path, '/');
  if (path.front() != '/' || path.size() >= PATH_MAX || path.find('\0') != std::string::npos ||
      std::find(parts.begin(), parts.end(), "..") != parts.end()) {
    return InvalidArgument(
        "sandbox config: log_directory {} is not an absolute path without \"..\"", Printable(path));
  }
  return absl::OkStatus();
}

// One entry is one word (an option may hold a colon): a newline in it would be another line of
// resolv.conf.
template <typename List>
absl::Status CheckDnsList(const char* field, const List& list) {
  if (static_cast<size_t>(list.size()) > kMaxDnsEntries) {
    return InvalidArgument("sandbox config: dns_config.{} has {} entries, at most {} are allowed",
                           field, list.size(), kMaxDnsEntries);
  }
  for (const std::string& entry : list) {
    if (entry.empty() || std::any_of(entry.begin(), entry.end(), IsControl)) {
      return InvalidArgument("sandbox config: dns_config.{} holds {}, which is not one word", field,
                             Printable(entry));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDns(const v1::DNSConfig& dns) {
  RETURN_IF_ERROR(CheckDnsList("servers", dns.servers()));
  RETURN_IF_ERROR(CheckDnsList("searches", dns.searches()));
  return CheckDnsList("options", dns.options());
}

absl::Status CheckPorts(const v1::PodSandboxConfig& config) {
  for (const auto& port : config.port_mappings()) {
    if (port.container_port() < 0 || port.container_port() > kMaxPort || port.host_port() < 0 ||
        port.host_port() > kMaxPort) {
      return InvalidArgument("sandbox config: port mapping {} -> {} is outside 0..{}",
                             port.host_port(), port.container_port(), kMaxPort);
    }
    in6_addr address{};
    if (!port.host_ip().empty() && inet_pton(AF_INET, port.host_ip().c_str(), &address) != 1 &&
        inet_pton(AF_INET6, port.host_ip().c_str(), &address) != 1) {
      return InvalidArgument("sandbox config: host_ip {} of port mapping {} is no IP address",
                             Printable(port.host_ip()), port.container_port());
    }
    if (!v1::Protocol_IsValid(port.protocol())) {
      return InvalidArgument("sandbox config: protocol {} of port mapping {} is unknown",
                             static_cast<int>(port.protocol()), port.container_port());
    }
  }
  return absl::OkStatus();
}

absl::Status CheckNamespaces(const v1::PodSandboxConfig& config) {
  const auto& options = config.linux().security_context().namespace_options();
  for (const auto mode : {options.network(), options.ipc()}) {
    if (mode != v1::POD && mode != v1::NODE) {
      return InvalidArgument(
          "sandbox config: namespace_options: network and ipc are POD or NODE, not {}",
          v1::NamespaceMode_IsValid(mode) ? v1::NamespaceMode_Name(mode) : std::to_string(mode));
    }
  }
  if (options.pid() == v1::TARGET || !v1::NamespaceMode_IsValid(options.pid())) {
    return InvalidArgument(
        "sandbox config: namespace_options.pid of a pod is POD, CONTAINER or NODE");
  }
  if (!options.target_id().empty()) {
    return InvalidArgument(
        "sandbox config: namespace_options.target_id is set: only a container can join another's "
        "PID namespace");
  }
  return CheckUserNamespace(config);
}

absl::Status CheckProfile(const char* field, const v1::SecurityProfile& profile) {
  if (!v1::SecurityProfile::ProfileType_IsValid(profile.profile_type())) {
    return InvalidArgument("sandbox config: security_context.{}.profile_type {} is unknown", field,
                           static_cast<int>(profile.profile_type()));
  }
  if (profile.profile_type() == v1::SecurityProfile::Localhost && profile.localhost_ref().empty()) {
    return InvalidArgument("sandbox config: security_context.{}.localhost_ref names no profile",
                           field);
  }
  return absl::OkStatus();
}

absl::Status CheckId(const char* field, int64_t id) {
  if (id < 0 || id > std::numeric_limits<int32_t>::max()) {
    return InvalidArgument("sandbox config: security_context.{} {} is no ID", field, id);
  }
  return absl::OkStatus();
}

// Nothing of a request runs as the pod itself: its infra process, where it has one, is Davit's own,
// runs as nobody, without capabilities and new privileges, in an empty read-only root, whatever the
// request allows. So these fields are checked, and always kept.
absl::Status CheckSecurity(const v1::LinuxSandboxSecurityContext& context) {
  if (context.has_run_as_user()) {
    RETURN_IF_ERROR(CheckId("run_as_user", context.run_as_user().value()));
  }
  if (context.has_run_as_group()) {
    if (!context.has_run_as_user()) {
      return InvalidArgument("sandbox config: security_context.run_as_group needs run_as_user");
    }
    RETURN_IF_ERROR(CheckId("run_as_group", context.run_as_group().value()));
  }
  for (const int64_t group : context.supplemental_groups()) {
    RETURN_IF_ERROR(CheckId("supplemental_groups", group));
  }
  if (!v1::SupplementalGroupsPolicy_IsValid(context.supplemental_groups_policy())) {
    return InvalidArgument(
        "sandbox config: security_context.supplemental_groups_policy {} is unknown",
        static_cast<int>(context.supplemental_groups_policy()));
  }
  RETURN_IF_ERROR(CheckProfile("seccomp", context.seccomp()));
  return CheckProfile("apparmor", context.apparmor());
}

absl::Status CheckResources(const char* field, const v1::LinuxContainerResources& resources) {
  const auto status = spec::UpdateResources(resources, resources.unified_size() > 0).status();
  return status.ok() || !absl::IsInvalidArgument(status)
             ? absl::OkStatus()
             : Annotate(status, fmt::format("sandbox config: linux.{}", field));
}

bool IsHostSysctl(const std::string& key, const v1::PodSandboxConfig& config) {
  return (key.starts_with("net.") && HostNetwork(config)) ||
         ((key.starts_with("kernel.") || key.starts_with("fs.mqueue.")) && HostIpc(config));
}

}  // namespace

absl::Status CheckPodConfig(const v1::PodSandboxConfig& config) {
  RETURN_IF_ERROR(CheckMetadata(config));
  RETURN_IF_ERROR(CheckHostname(config.hostname()));
  RETURN_IF_ERROR(CheckLogDirectory(config.log_directory()));
  RETURN_IF_ERROR(CheckDns(config.dns_config()));
  RETURN_IF_ERROR(CheckPorts(config));
  RETURN_IF_ERROR(CheckNamespaces(config));
  if (config.has_windows()) {
    return InvalidArgument("sandbox config: windows is set: this is a Linux node");
  }
  RETURN_IF_ERROR(CheckSecurity(config.linux().security_context()));
  RETURN_IF_ERROR(CheckResources("resources", config.linux().resources()));
  RETURN_IF_ERROR(CheckResources("overhead", config.linux().overhead()));
  return spec::CheckSysctls(config);
}

std::string EscapeNamePart(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '_') {
      out += "%5f";
    } else if (c == '%') {
      out += "%25";
    } else {
      out += c;
    }
  }
  return out;
}

std::string SandboxName(const v1::PodSandboxMetadata& metadata) {
  return fmt::format("{}_{}_{}_{}", EscapeNamePart(metadata.name()),
                     EscapeNamePart(metadata.namespace_()), EscapeNamePart(metadata.uid()),
                     metadata.attempt());
}

bool HostNetwork(const v1::PodSandboxConfig& config) {
  return config.linux().security_context().namespace_options().network() == v1::NODE;
}

bool HostIpc(const v1::PodSandboxConfig& config) {
  return config.linux().security_context().namespace_options().ipc() == v1::NODE;
}

v1::NamespaceMode PidMode(const v1::PodSandboxConfig& config) {
  return config.linux().security_context().namespace_options().pid();
}

std::string PodHostname(const v1::PodSandboxConfig& config) {
  // The UTS namespace of such a pod is the host's.
  if (HostNetwork(config)) {
    char name[HOST_NAME_MAX + 1] = {};
    return gethostname(name, sizeof(name) - 1) == 0 ? name : config.hostname();
  }
  if (!config.hostname().empty()) {
    return config.hostname();
  }
  return config.metadata().name().substr(0, kMaxHostname - 1);
}

std::string LogDirectory(const v1::PodSandboxConfig& config, const config::Runtime& node) {
  if (!config.log_directory().empty()) {
    return config.log_directory();
  }
  const auto& metadata = config.metadata();
  return JoinPath(node.log_directory,
                  fmt::format("{}_{}_{}", metadata.namespace_(), metadata.name(), metadata.uid()));
}

std::map<std::string, std::string> PodSysctls(const v1::PodSandboxConfig& config,
                                              const config::Runtime& node) {
  std::map<std::string, std::string> all;
  for (const auto& [key, value] : node.default_sysctls) {
    if (!IsHostSysctl(key, config)) {
      all[key] = value;
    }
  }
  for (const auto& [key, value] : config.linux().sysctls()) {
    all[key] = value;
  }
  for (const char* key : {"net.ipv4.ping_group_range", "net/ipv4/ping_group_range"}) {
    if (const auto range = all.find(key); range != all.end()) {
      range->second = HostPingGroupRange(range->second, PodIdMappings(config));
    }
  }
  return all;
}

}  // namespace davit::server
