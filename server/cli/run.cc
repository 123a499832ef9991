// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <fmt/format.h>

#include "base/id.h"
#include "base/text.h"
#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/follow.h"
#include "server/cli/pull_one.h"
#include "server/cli/resolve.h"

namespace davit::server::cli {
namespace {

constexpr char kNamespace[] = "davit";

absl::Status AddPorts(const std::vector<std::string>& ports, runtime::v1::PodSandboxConfig& pod) {
  for (const auto& text : ports) {
    const auto halves = Split(text, '/');
    const auto numbers = Split(halves.front(), ':');
    const auto host = numbers.size() == 2 ? ParseInt(numbers[0]) : std::nullopt;
    const auto container = numbers.size() == 2 ? ParseInt(numbers[1]) : std::nullopt;
    const std::string protocol = halves.size() > 1 ? Lower(halves[1]) : "tcp";
    if (!host || !container || (protocol != "tcp" && protocol != "udp" && protocol != "sctp")) {
      return InvalidArgument("--port must be HOST:CONTAINER or HOST:CONTAINER/udp, not {}", text);
    }
    auto& mapping = *pod.add_port_mappings();
    mapping.set_host_port(static_cast<int32_t>(*host));
    mapping.set_container_port(static_cast<int32_t>(*container));
    mapping.set_protocol(protocol == "tcp"   ? runtime::v1::TCP
                         : protocol == "udp" ? runtime::v1::UDP
                                             : runtime::v1::SCTP);
  }
  return absl::OkStatus();
}

std::string ContainerName(const RunOptions& options) {
  if (!options.name.empty()) {
    return options.name;
  }
  std::string name = options.image.substr(0, options.image.find('@'));
  name = name.substr(name.rfind('/') + 1);
  return name.substr(0, name.find(':'));
}

absl::StatusOr<runtime::v1::PodSandboxConfig> PodConfig(const RunOptions& options) {
  runtime::v1::PodSandboxConfig pod;
  pod.mutable_metadata()->set_name(ContainerName(options) + "-" + NewId().substr(0, 6));
  pod.mutable_metadata()->set_namespace_(kNamespace);
  pod.mutable_metadata()->set_uid(NewId().substr(0, 32));
  pod.set_hostname(ContainerName(options));
  pod.set_log_directory(options.log_directory);
  (*pod.mutable_labels())["davit.run"] = "true";
  auto& security = *pod.mutable_linux()->mutable_security_context();
  security.set_privileged(options.privileged);
  security.mutable_namespace_options()->set_network(options.host_network ? runtime::v1::NODE
                                                                         : runtime::v1::POD);
  security.mutable_namespace_options()->set_pid(runtime::v1::CONTAINER);
  RETURN_IF_ERROR(AddPorts(options.ports, pod));
  return pod;
}

absl::Status AddVolumes(const std::vector<std::string>& volumes,
                        runtime::v1::ContainerConfig& container) {
  for (const auto& text : volumes) {
    const auto parts = Split(text, ':');
    const bool readonly = parts.size() == 3 && parts[2] == "ro";
    if (parts.size() < 2 || (parts.size() == 3 && !readonly) || parts.size() > 3) {
      return InvalidArgument("--volume must be HOST:CONTAINER or HOST:CONTAINER:ro, not {}", text);
    }
    auto& mount = *container.add_mounts();
    mount.set_host_path(parts[0]);
    mount.set_container_path(parts[1]);
    mount.set_readonly(readonly);
  }
  return absl::OkStatus();
}

absl::StatusOr<runtime::v1::ContainerConfig> ContainerConfigOf(const RunOptions& options) {
  runtime::v1::ContainerConfig container;
  container.mutable_metadata()->set_name(ContainerName(options));
  container.mutable_image()->set_image(options.image);
  for (const auto& word : options.command) {
    container.add_args(word);
  }
  for (const auto& entry : options.env) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) {
      return InvalidArgument("--env must be NAME=value, not {}", entry);
    }
    auto& env = *container.add_envs();
    env.set_key(entry.substr(0, equals));
    env.set_value(entry.substr(equals + 1));
  }
  RETURN_IF_ERROR(AddVolumes(options.volumes, container));
  container.set_log_path(ContainerName(options) + ".log");
  auto& security = *container.mutable_linux()->mutable_security_context();
  security.set_privileged(options.privileged);
  security.mutable_namespace_options()->set_pid(runtime::v1::CONTAINER);
  security.mutable_namespace_options()->set_network(options.host_network ? runtime::v1::NODE
                                                                         : runtime::v1::POD);
  return container;
}

absl::Status PullIfMissing(Client& client, const RunOptions& options) {
  runtime::v1::ImageStatusRequest status;
  status.mutable_image()->set_image(options.image);
  ASSIGN_OR_RETURN(const auto present, DAVIT_IMAGE_CALL(client, ImageStatus, status));
  if (present.has_image()) {
    return absl::OkStatus();
  }
  davit::v1::PullImageRequest request;
  request.mutable_image()->set_image(options.image);
  PullProgress bars(true, {options.image});
  return PullOne(client, request, ::isatty(STDOUT_FILENO) == 1 ? &bars : nullptr).status();
}

absl::Status RemovePod(Client& client, const std::string& pod) {
  runtime::v1::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(pod);
  return DAVIT_RUNTIME_CALL(client, RemovePodSandbox, request, kLong).status();
}

// The pod to run in: the one named, or a new one.
absl::StatusOr<std::string> EnsurePod(Client& client, const RunOptions& options,
                                      runtime::v1::PodSandboxConfig& config) {
  if (!options.pod.empty()) {
    ASSIGN_OR_RETURN(const Object object, Resolve(client, options.pod));
    if (!object.is_pod) {
      return InvalidArgument("{} is a container, not a pod", options.pod);
    }
    runtime::v1::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(object.id);
    ASSIGN_OR_RETURN(const auto status, DAVIT_RUNTIME_CALL(client, PodSandboxStatus, request));
    *config.mutable_metadata() = status.status().metadata();
    return object.id;
  }
  ASSIGN_OR_RETURN(config, PodConfig(options));
  runtime::v1::RunPodSandboxRequest request;
  *request.mutable_config() = config;
  ASSIGN_OR_RETURN(const auto response, DAVIT_RUNTIME_CALL(client, RunPodSandbox, request, kLong));
  return response.pod_sandbox_id();
}

absl::StatusOr<std::string> StartContainerIn(Client& client, const RunOptions& options,
                                             const std::string& pod,
                                             const runtime::v1::PodSandboxConfig& pod_config) {
  runtime::v1::CreateContainerRequest create;
  create.set_pod_sandbox_id(pod);
  *create.mutable_sandbox_config() = pod_config;
  ASSIGN_OR_RETURN(*create.mutable_config(), ContainerConfigOf(options));
  ASSIGN_OR_RETURN(const auto created, DAVIT_RUNTIME_CALL(client, CreateContainer, create, kLong));
  runtime::v1::StartContainerRequest start;
  start.set_container_id(created.container_id());
  RETURN_IF_ERROR(DAVIT_RUNTIME_CALL(client, StartContainer, start, kLong).status());
  return created.container_id();
}

absl::StatusOr<int> FollowToEnd(Client& client, const std::string& id) {
  runtime::v1::ContainerStatusRequest request;
  request.set_container_id(id);
  ASSIGN_OR_RETURN(const auto status, DAVIT_RUNTIME_CALL(client, ContainerStatus, request));
  ASSIGN_OR_RETURN(LogReader reader, LogReader::Open(status.status().log_path()));
  ASSIGN_OR_RETURN(const auto end, FollowLog(client, id, reader, false));
  return end.exit_code();
}

}  // namespace

absl::Status RunRun(const Globals& globals, const RunOptions& options, int* exit_code) {
  Client client(globals.socket);
  RETURN_IF_ERROR(PullIfMissing(client, options));
  runtime::v1::PodSandboxConfig pod_config;
  ASSIGN_OR_RETURN(const std::string pod, EnsurePod(client, options, pod_config));
  const bool own_pod = options.pod.empty();
  const auto container = StartContainerIn(client, options, pod, pod_config);
  if (!container.ok()) {
    // Half a pod helps nobody; the first error is the one to tell.
    const absl::Status removed = own_pod ? RemovePod(client, pod) : absl::OkStatus();
    return removed.ok() ? container.status()
                        : Annotate(container.status(), "(pod " + pod + " could not be removed)");
  }
  if (options.detach) {
    if (globals.json) {
      fmt::print("{{\"pod\": \"{}\", \"container\": \"{}\"}}\n", pod, *container);
    } else {
      fmt::print("pod        {}\ncontainer  {}\n", pod, *container);
    }
    return absl::OkStatus();
  }
  const auto code = FollowToEnd(client, *container);
  if (options.remove && own_pod) {
    RETURN_IF_ERROR(RemovePod(client, pod));
  }
  ASSIGN_OR_RETURN(*exit_code, code);
  return absl::OkStatus();
}

}  // namespace davit::server::cli
