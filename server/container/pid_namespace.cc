// SPDX-License-Identifier: Apache-2.0
#include "server/container/pid_namespace.h"

#include <fcntl.h>

#include <string>

#include "base/file.h"
#include "base/id.h"
#include "base/mount.h"
#include "base/proc.h"
#include "base/status.h"
#include "server/paths.h"
#include "server/sandbox/pod_config.h"

namespace davit::server {
namespace {

namespace v1 = runtime::v1;
namespace sv1 = davit::state::v1;

v1::NamespaceMode WantedMode(const Sandbox::Record& sandbox, const Container::Record& container) {
  const auto& context = container.config().linux().security_context();
  const v1::NamespaceMode mode = context.has_namespace_options() ? context.namespace_options().pid()
                                                                 : PidMode(sandbox.config());
  if (mode == v1::POD && PidMode(sandbox.config()) != v1::POD) {
    return PidMode(sandbox.config());  // the pod shares none: what the pod says counts
  }
  return mode;
}

absl::StatusOr<std::string> PinTarget(Node& node, const Sandbox::Record& sandbox,
                                      const Container::Record& container) {
  const std::string& target_id =
      container.config().linux().security_context().namespace_options().target_id();
  ASSIGN_OR_RETURN(const auto target, node.containers.Find(target_id));
  const auto record = target->record();
  if (record->sandbox_id() != sandbox.id()) {
    return InvalidArgument("container config: target {} is a container of another pod",
                           ShortId(target->id()));
  }
  if (record->state() != sv1::CONTAINER_RUNNING) {
    return FailedPrecondition("container config: target {} is not running", ShortId(target->id()));
  }
  const std::string pin = Paths(node.config.storage.run).TargetPid(container.id());
  RETURN_IF_ERROR(Open(pin, O_CREAT | O_RDONLY).status());
  RETURN_IF_ERROR(BindMount(fmt::format("/proc/{}/ns/pid", record->pid()), pin,
                            /*recursive=*/false));
  // The pid may have come to mean another process up to the mount, not after it.
  const auto start_time = ProcessStartTime(record->pid());
  if (!start_time.ok() || *start_time != record->pid_start_time()) {
    return FailedPrecondition("container config: target {} ended meanwhile", ShortId(target->id()));
  }
  return pin;
}

}  // namespace

absl::Status ChoosePidNamespace(Node& node, const Sandbox::Record& sandbox,
                                const Container::Record& container,
                                spec::NamespacePaths& namespaces) {
  switch (WantedMode(sandbox, container)) {
    case v1::POD:
      namespaces.pid = Paths(node.config.storage.run).Pin(sandbox.id(), "pid");
      return absl::OkStatus();
    case v1::NODE:
      namespaces.host_pid = true;
      return absl::OkStatus();
    case v1::TARGET: {
      ASSIGN_OR_RETURN(namespaces.pid, PinTarget(node, sandbox, container));
      return absl::OkStatus();
    }
    default:
      return absl::OkStatus();
  }
}

}  // namespace davit::server
