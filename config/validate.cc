// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>

#include "base/cpus.h"
#include "base/status.h"
#include "base/text.h"
#include "config/load.h"

namespace davit::config {
namespace {

absl::Status Absolute(const char* key, const std::string& path) {
  if (path.empty() || path.front() != '/') {
    return InvalidArgument("{} must be an absolute path, not \"{}\"", key, Printable(path));
  }
  for (const auto& part : Split(path, '/')) {
    if (part == "." || part == "..") {
      return InvalidArgument("{} must not contain \"{}\": {}", key, part, Printable(path));
    }
  }
  return absl::OkStatus();
}

absl::Status AbsoluteOrEmpty(const char* key, const std::string& path) {
  return path.empty() ? absl::OkStatus() : Absolute(key, path);
}

template <typename T>
absl::Status Between(const char* key, T value, T low, T high) {
  if (value < low || value > high) {
    return InvalidArgument("{} must be between {} and {}, not {}", key, low, high, value);
  }
  return absl::OkStatus();
}

template <size_t N>
absl::Status OneOf(const char* key, const std::string& value,
                   const std::array<const char*, N>& known) {
  if (std::find(known.begin(), known.end(), value) == known.end()) {
    return InvalidArgument("{} must be one of {}, not \"{}\"", key,
                           fmt::join(known.begin(), known.end(), ", "), Printable(value));
  }
  return absl::OkStatus();
}

// "SOURCE:DESTINATION[:OPTIONS]" or "HOST[:CONTAINER][:rwm]": paths before anything else.
absl::Status ColonSeparatedPaths(const char* key, const std::string& text, size_t least) {
  const std::vector<std::string> parts = Split(text, ':');
  size_t paths = 0;
  while (paths < parts.size() && parts[paths].starts_with('/')) {
    ++paths;
  }
  if (paths < least || paths > 2 || parts.size() - paths > 1) {
    return InvalidArgument("{}: \"{}\" does not begin with {} separated by \":\"", key,
                           Printable(text),
                           least == 1 ? "one or two absolute paths" : "two absolute paths");
  }
  return absl::OkStatus();
}

absl::Status ValidateHostThings(const Runtime& runtime) {
  for (const auto& [key, paths] :
       {std::pair("runtime.cdi_dirs", &runtime.cdi_dirs),
        std::pair("runtime.hooks_dirs", &runtime.hooks_dirs),
        std::pair("runtime.allowed_devices", &runtime.allowed_devices),
        std::pair("runtime.mount_sources_to_reject", &runtime.mount_sources_to_reject)}) {
    for (const std::string& path : *paths) {
      RETURN_IF_ERROR(Absolute(key, path));
    }
  }
  for (const std::string& mount : runtime.default_mounts) {
    RETURN_IF_ERROR(ColonSeparatedPaths("runtime.default_mounts", mount, 2));
  }
  for (const std::string& device : runtime.additional_devices) {
    RETURN_IF_ERROR(ColonSeparatedPaths("runtime.additional_devices", device, 1));
  }
  return absl::OkStatus();
}

absl::Status ValidateMonitorCgroup(const Runtime& runtime) {
  const std::string& cgroup = runtime.monitor_cgroup;
  if (cgroup.empty() || cgroup == kMonitorInPod) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(Absolute("runtime.monitor_cgroup", cgroup));
  if (cgroup.ends_with(".slice") != (runtime.cgroup_manager == "systemd")) {
    return InvalidArgument(
        "runtime.monitor_cgroup must be empty, pod, or the path of a {}, not \"{}\"",
        runtime.cgroup_manager == "systemd" ? "slice (/NAME.slice)" : "cgroup that is no slice",
        Printable(cgroup));
  }
  return absl::OkStatus();
}

absl::Status ValidateHandler(const std::string& name, const RuntimeHandler& handler) {
  if (name.empty() || name.find('/') != std::string::npos || name.front() == '.') {
    return InvalidArgument("runtime.handlers: \"{}\" cannot be a handler name", Printable(name));
  }
  RETURN_IF_ERROR(AbsoluteOrEmpty("runtime.handlers.*.root", handler.root));
  return OneOf("runtime.handlers.*.exec_cpu_affinity", handler.exec_cpu_affinity,
               std::array{"", kFirstCpu});
}

// What the kernel takes for a cgroup; 0 says nothing.
absl::Status ValidateResources(const std::string& key, const WorkloadResources& resources) {
  constexpr int64_t kMostMicroseconds = 1'000'000'000;
  const auto within = [&key](const char* name, int64_t value, int64_t low, int64_t high) {
    return value == 0 ? absl::OkStatus()
                      : Between<int64_t>((key + "." + name).c_str(), value, low, high);
  };
  RETURN_IF_ERROR(within("cpushares", resources.cpushares, 2, 262'144));
  RETURN_IF_ERROR(within("cpuperiod", resources.cpuperiod, 1000, 1'000'000));
  RETURN_IF_ERROR(within("cpuquota", resources.cpuquota, resources.cpuquota < 0 ? -1 : 1000,
                         kMostMicroseconds));
  RETURN_IF_ERROR(within("cpulimit", resources.cpulimit, 1, kMaxCpus * int64_t{1000}));
  if (resources.cpuquota != 0 && resources.cpulimit != 0) {
    return InvalidArgument("{}: cpuquota and cpulimit say the same in two ways: leave one out",
                           key);
  }
  return Annotate(ParseCpuList(resources.cpuset).status(), key + ".cpuset");
}

absl::Status ValidateWorkloads(const std::map<std::string, Workload>& workloads) {
  std::map<std::string, std::string> by_annotation;
  for (const auto& [name, workload] : workloads) {
    const std::string key = "runtime.workloads." + Printable(name);
    if (workload.activation_annotation.empty()) {
      return InvalidArgument("{}.activation_annotation is missing: no pod would belong to it", key);
    }
    const auto [other, fresh] = by_annotation.emplace(workload.activation_annotation, name);
    if (!fresh) {
      return InvalidArgument("{}.activation_annotation is that of the workload {}, too", key,
                             Printable(other->second));
    }
    RETURN_IF_ERROR(ValidateResources(key + ".resources", workload.resources));
  }
  return absl::OkStatus();
}

absl::Status ValidateRuntime(const Runtime& runtime) {
  RETURN_IF_ERROR(AbsoluteOrEmpty("runtime.monitor_path", runtime.monitor_path));
  RETURN_IF_ERROR(
      OneOf("runtime.cgroup_manager", runtime.cgroup_manager, std::array{"cgroupfs", "systemd"}));
  RETURN_IF_ERROR(Absolute("runtime.default_cgroup_parent", runtime.default_cgroup_parent));
  RETURN_IF_ERROR(ValidateMonitorCgroup(runtime));
  RETURN_IF_ERROR(
      Between("runtime.selinux_category_range", runtime.selinux_category_range, 2, 1024));
  RETURN_IF_ERROR(Between("runtime.lean_mounts_from", runtime.lean_mounts_from, -1, 1 << 20));
  RETURN_IF_ERROR(Absolute("runtime.log_directory", runtime.log_directory));
  RETURN_IF_ERROR(Between<int64_t>("runtime.pids_limit", runtime.pids_limit, 0, 1 << 22));
  RETURN_IF_ERROR(
      Between<int64_t>("runtime.max_log_line_bytes", runtime.max_log_line_bytes, 256, 1 << 20));
  for (const auto& entry : runtime.default_env) {
    if (entry.find('=') == std::string::npos || entry.front() == '=') {
      return InvalidArgument("runtime.default_env: \"{}\" is not NAME=value", Printable(entry));
    }
  }
  RETURN_IF_ERROR(ValidateHostThings(runtime));
  for (const auto& [name, handler] : runtime.handlers) {
    RETURN_IF_ERROR(ValidateHandler(name, handler));
  }
  RETURN_IF_ERROR(ValidateWorkloads(runtime.workloads));
  RETURN_IF_ERROR(AbsoluteOrEmpty("runtime.blockio_config", runtime.blockio_config));
  RETURN_IF_ERROR(AbsoluteOrEmpty("runtime.irqbalance_config", runtime.irqbalance_config));
  if (runtime.create_timeout < std::chrono::seconds(1)) {
    return InvalidArgument("runtime.create_timeout must be at least 1s");
  }
  return absl::OkStatus();
}

absl::Status ValidateImage(const Image& image) {
  RETURN_IF_ERROR(Between("image.max_parallel_layers", image.max_parallel_layers, 1, 64));
  RETURN_IF_ERROR(Between("image.max_ranges_per_layer", image.max_ranges_per_layer, 1, 32));
  RETURN_IF_ERROR(Between<int64_t>("image.range_memory", image.range_memory, 0, int64_t{4} << 30));
  RETURN_IF_ERROR(Between<int64_t>("image.min_bytes_per_second", image.min_bytes_per_second, 0,
                                   int64_t{1} << 30));
  RETURN_IF_ERROR(Between("image.max_layers", image.max_layers, 1, 4096));
  RETURN_IF_ERROR(AbsoluteOrEmpty("image.auth_file", image.auth_file));
  RETURN_IF_ERROR(AbsoluteOrEmpty("image.signature_policy", image.signature_policy));
  RETURN_IF_ERROR(AbsoluteOrEmpty("image.signature_policy_dir", image.signature_policy_dir));
  RETURN_IF_ERROR(Absolute("image.registries_d", image.registries_d));
  RETURN_IF_ERROR(AbsoluteOrEmpty("image.namespaced_auth_dir", image.namespaced_auth_dir));
  RETURN_IF_ERROR(AbsoluteOrEmpty("image.registries_conf", image.registries_conf));
  RETURN_IF_ERROR(AbsoluteOrEmpty("image.registries_conf_dir", image.registries_conf_dir));
  RETURN_IF_ERROR(AbsoluteOrEmpty("image.short_name_aliases", image.short_name_aliases));
  RETURN_IF_ERROR(OneOf("image.short_name_mode", image.short_name_mode,
                        std::array{"", "enforcing", "permissive", "disabled"}));
  for (const auto& directory : image.certs_dirs) {
    RETURN_IF_ERROR(Absolute("image.certs_dirs", directory));
  }
  for (const auto& directory : image.hosts_dirs) {
    RETURN_IF_ERROR(Absolute("image.hosts_dirs", directory));
  }
  RETURN_IF_ERROR(OneOf("image.volumes", image.volumes, std::array{"mkdir", "bind", "ignore"}));
  if (image.max_layer_bytes < (1 << 20)) {
    return InvalidArgument("image.max_layer_bytes must be at least 1048576");
  }
  RETURN_IF_ERROR(Between<int64_t>("image.max_layer_files", image.max_layer_files, 1,
                                   std::numeric_limits<int32_t>::max()));
  RETURN_IF_ERROR(Between<int64_t>("image.max_layer_ratio", image.max_layer_ratio, 0, 1'000'000));
  for (const auto& mirror : image.mirrors) {
    if (mirror.prefix.empty() || mirror.endpoints.empty()) {
      return InvalidArgument("image.mirrors: each needs a prefix and at least one endpoint");
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateNetwork(const Network& network) {
  RETURN_IF_ERROR(Absolute("network.config_dir", network.config_dir));
  RETURN_IF_ERROR(Absolute("network.cache_dir", network.cache_dir));
  RETURN_IF_ERROR(
      AbsoluteOrEmpty("network.default_bridge_ipam_dir", network.default_bridge_ipam_dir));
  RETURN_IF_ERROR(OneOf("network.host_ports", network.host_ports, std::array{"auto", "off"}));
  if (network.gc_interval.count() != 0 && network.gc_interval < std::chrono::seconds(1)) {
    return InvalidArgument("network.gc_interval must be 0 or at least 1s");
  }
  if (network.plugin_dirs.empty()) {
    return InvalidArgument("network.plugin_dirs must name at least one directory");
  }
  for (const auto& directory : network.plugin_dirs) {
    RETURN_IF_ERROR(Absolute("network.plugin_dirs", directory));
  }
  for (const auto& type : network.builtin_plugins) {
    RETURN_IF_ERROR(OneOf("network.builtin_plugins", type, std::array{"bridge"}));
  }
  constexpr size_t kMaxInterfaceName = 15;
  if (network.default_bridge_name.empty() ||
      network.default_bridge_name.size() > kMaxInterfaceName) {
    return InvalidArgument("network.default_bridge_name must have 1 to {} characters",
                           kMaxInterfaceName);
  }
  return absl::OkStatus();
}

absl::Status ValidateStreaming(const Streaming& streaming) {
  std::array<unsigned char, sizeof(in6_addr)> address = {};
  if (inet_pton(AF_INET, streaming.address.c_str(), address.data()) != 1 &&
      inet_pton(AF_INET6, streaming.address.c_str(), address.data()) != 1) {
    return InvalidArgument("streaming.address must be an IP address, not \"{}\"",
                           Printable(streaming.address));
  }
  RETURN_IF_ERROR(Between("streaming.port", streaming.port, 0, 65535));
  RETURN_IF_ERROR(AbsoluteOrEmpty("streaming.tls_cert", streaming.tls_cert));
  RETURN_IF_ERROR(AbsoluteOrEmpty("streaming.tls_key", streaming.tls_key));
  RETURN_IF_ERROR(AbsoluteOrEmpty("streaming.tls_ca", streaming.tls_ca));
  if (streaming.tls_cert.empty() != streaming.tls_key.empty()) {
    return InvalidArgument("streaming.tls_cert and streaming.tls_key go together");
  }
  if (streaming.tls_cert.empty() && !streaming.tls_ca.empty()) {
    return InvalidArgument("streaming.tls_ca needs streaming.tls_cert and streaming.tls_key");
  }
  RETURN_IF_ERROR(
      OneOf("streaming.tls_min_version", streaming.tls_min_version, std::array{"1.2", "1.3"}));
  if (streaming.idle_timeout < std::chrono::seconds(1) ||
      streaming.creation_timeout < std::chrono::seconds(1)) {
    return InvalidArgument(
        "streaming.idle_timeout and streaming.creation_timeout must be at least 1s");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Validate(const Config& config) {
  RETURN_IF_ERROR(Absolute("socket", config.socket));
  RETURN_IF_ERROR(OneOf("log_level", config.log_level,
                        std::array{"trace", "debug", "info", "warning", "error"}));
  RETURN_IF_ERROR(Between("max_threads", config.max_threads, 4, 1024));
  RETURN_IF_ERROR(Absolute("storage.root", config.storage.root));
  RETURN_IF_ERROR(Absolute("storage.run", config.storage.run));
  RETURN_IF_ERROR(AbsoluteOrEmpty("storage.unpack_path", config.storage.unpack_path));
  for (const std::string& store : config.storage.additional_stores) {
    RETURN_IF_ERROR(Absolute("storage.additional_stores", store));
    if (store == config.storage.root) {
      return InvalidArgument("storage.additional_stores names storage.root itself: {}", store);
    }
  }
  RETURN_IF_ERROR(Between<int64_t>("storage.rootfs_size", config.storage.rootfs_size, 0,
                                   std::numeric_limits<int64_t>::max()));
  RETURN_IF_ERROR(ValidateRuntime(config.runtime));
  RETURN_IF_ERROR(ValidateImage(config.image));
  RETURN_IF_ERROR(ValidateNetwork(config.network));
  return ValidateStreaming(config.streaming);
}

}  // namespace davit::config
