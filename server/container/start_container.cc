// SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include <chrono>
#include <memory>
#include <utility>

#include "base/failpoint.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "base/time.h"
#include "server/container/container_rpcs.h"
#include "server/container/exit_watcher.h"
#include "server/container/forbidden_calls.h"
#include "server/container/log_options.h"
#include "server/container/monitor_cgroup.h"
#include "server/container/quiet_cpus.h"
#include "server/container/teardown.h"
#include "server/events/publish.h"
#include "server/oci/monitor.h"
#include "server/oci/runtime_mounts.h"
#include "server/paths.h"
#include "server/stats/writable_usage.h"
#include "server/update.h"

namespace davit::server {
namespace {

namespace sv1 = davit::state::v1;

constexpr int kStartErrorExitCode = 128;
constexpr std::chrono::minutes kUndoTimeout{2};
// The OCI runtime has moved the container to its cgroup.
constexpr std::chrono::milliseconds kUntilMoved{20};
constexpr int kMonitorEndMs = 10'000;

absl::Status CheckStartable(const Node& node, const Container& container) {
  const auto state = container.record()->state();
  if (state != sv1::CONTAINER_CREATED) {
    return FailedPrecondition(
        "container {} is not in state CONTAINER_CREATED but {}: it cannot be "
        "started",
        ShortId(container.id()), sv1::ContainerState_Name(state));
  }
  ASSIGN_OR_RETURN(const auto sandbox, node.sandboxes.Find(container.sandbox_id()));
  const auto pod_state = sandbox->record()->state();
  if (pod_state != sv1::SANDBOX_READY) {
    return FailedPrecondition("sandbox {} of container {} is not ready but {}",
                              ShortId(sandbox->id()), ShortId(container.id()),
                              sv1::SandboxState_Name(pod_state));
  }
  return absl::OkStatus();
}

absl::Status FillLogOptions(const Node& node, const Container::Record& record,
                            oci::MonitorOptions& options) {
  const config::Runtime& config = node.config.runtime;
  ASSIGN_OR_RETURN(const auto sandbox, node.sandboxes.Find(record.sandbox_id()));
  const auto pod = sandbox->record();
  ASSIGN_OR_RETURN(const LogLimits limits,
                   LogLimitsOf(config, record.handler(), pod->config(), record.config()));
  options.log_path = record.log_path();
  options.max_log_line_bytes = config.max_log_line_bytes;
  options.log_rate = limits.rate;
  options.max_log_size = limits.max_size;
  if (config.log_to_journald) {
    options.journal_fields = JournalFields(record.id(), pod->config(), record.config());
  }
  return absl::OkStatus();
}

oci::MonitorOptions ToMonitorOptions(const Node& node, const Container::Record& record,
                                     const oci::Runtime& runtime) {
  const Paths paths(node.config.storage.run);
  oci::MonitorOptions options;
  options.monitor_path = node.monitor_path;
  options.container_id = record.id();
  options.run_dir = paths.Container(record.id());
  options.bundle = paths.Bundle(record.id());
  options.runtime_path = runtime.path();
  options.runtime_root = runtime.root();
  options.runtime_program = runtime.Launch().program;
  options.tty = record.config().tty();
  options.stdin_open = record.config().stdin();
  options.stdin_once = record.config().stdin_once();
  options.seccomp = record.forbidden_calls() != sv1::FORBIDDEN_CALLS_FAIL;
  options.systemd_cgroup = node.cgroup_manager.MadeBySystemd(record.cgroup());
  if (options.systemd_cgroup && node.cgroups.mode() == CgroupMode::kV2) {
    // systemd removes the container's own as soon as it is empty.
    options.memory_parent_dir =
        node.cgroups.Dir("memory", record.cgroup().substr(0, record.cgroup().rfind('/')));
  }
  options.cgroup_mode = CgroupModeName(node.cgroups.mode());
  options.memory_cgroup_dir = node.cgroups.Dir("memory", record.cgroup());
  return options;
}

// Without the mounts of other pods, of which there are many on a full node. On one with few pods
// it would take longer than it spares.
UniqueFd MountsForStart(const Node& node, const Container::Record& record,
                        const oci::Runtime& runtime) {
  const int from = node.config.runtime.lean_mounts_from;
  if (runtime.mounts() == nullptr || from < 0 ||
      node.sandboxes.Size() < static_cast<size_t>(from)) {
    return {};
  }
  const Paths paths(node.config.storage.run);
  auto made = runtime.mounts()->ForContainer(
      {paths.Container(record.id()), paths.Sandbox(record.sandbox_id())},
      paths.SpecFile(record.id()));
  if (!made.ok()) {
    log::Debug("container {} is started among all mounts of the node: {}", ShortId(record.id()),
               Message(made.status()));
    return {};
  }
  return *std::move(made);
}

absl::Status RecordRunning(Node& node, const std::shared_ptr<Container>& container,
                           oci::MonitorHandle& monitor) {
  RETURN_IF_ERROR(failpoint::Hit("start_container.after_monitor"));
  RETURN_IF_ERROR(Update(node, *container, [&monitor](auto& next) {
    next.set_state(sv1::CONTAINER_RUNNING);
    next.set_started_at(NowNanos());
    next.set_pid(monitor.container_pid);
    next.set_pid_start_time(monitor.container_start_time);
    next.set_monitor_pid(monitor.monitor_pid);
    next.set_monitor_start_time(monitor.monitor_start_time);
  }));
  RETURN_IF_ERROR(failpoint::Hit("start_container.after_running"));
  log::IfError(node.forbidden_calls.Watch(container),
               "watch container " + ShortId(container->id()));
  return node.exits.Watch(container, std::move(monitor.monitor_pidfd));
}

// Ends a container that nobody will watch; its monitor follows it.
void Abandon(Node& node, const Container::Record& record, const oci::MonitorHandle& monitor) {
  log::IfError(node.cgroup_manager.KillAll(record.cgroup()),
               "kill what a failed start of container " + ShortId(record.id()) + " left");
  if (!monitor.monitor_pidfd.valid()) {
    return;
  }
  pollfd ended = {.fd = monitor.monitor_pidfd.get(), .events = POLLIN, .revents = 0};
  if (poll(&ended, 1, kMonitorEndMs) == 1) {
    oci::ReapMonitor(monitor.monitor_pidfd.get());
  }
}

absl::Status Run(Node& node, Context& ctx, const std::shared_ptr<Container>& container) {
  RETURN_IF_ERROR(failpoint::Hit("start_container.after_intent"));
  const auto record = container->record();
  ASSIGN_OR_RETURN(const auto runtime, node.runtimes.Find(record->handler()));
  RETURN_IF_ERROR(
      node.storage.MountRootfs(record->id(), {.selinux_label = record->selinux_mount_label()})
          .status());
  RETURN_IF_ERROR(QuietBeforeStart(node, *record));
  ctx.SetStage("run OCI runtime " + runtime->name());
  oci::MonitorOptions options = ToMonitorOptions(node, *record, *runtime);
  RETURN_IF_ERROR(FillLogOptions(node, *record, options));
  UniqueFd mounts = MountsForStart(node, *record, *runtime);
  options.runtime_mounts = mounts.get();
  ASSIGN_OR_RETURN(oci::MonitorHandle monitor, oci::StartMonitor(ctx, options));
  mounts.Reset();
  // The container runs, whatever systemd knows of it and wherever its monitor is.
  log::IfError(
      node.cgroup_manager.NoteResources(record->cgroup(), record->config().linux().resources(),
                                        node.config.runtime.pids_limit),
      "tell systemd the limits of container " + ShortId(record->id()));
  log::IfError(PlaceMonitor(node, *record, monitor.monitor_pid),
               "place the monitor of container " + ShortId(record->id()));
  absl::Status started = QuietAfterStart(node, *record);
  if (started.ok()) {
    started = RecordRunning(node, container, monitor);
  }
  if (!started.ok()) {
    Abandon(node, *record, monitor);
  }
  return started;
}

// The end of a container that never ran, as `kubectl describe` shows it.
void Undo(Node& node, Container& container, const absl::Status& why) {
  Context ctx(kUndoTimeout);
  log::IfError(Update(node, container,
                      [&why](auto& next) {
                        next.set_state(sv1::CONTAINER_EXITED);
                        next.set_exit_code(kStartErrorExitCode);
                        next.set_finished_at(NowNanos());
                        next.set_reason("StartError");
                        next.set_message(Message(why));
                      }),
               "record the failed start of container " + ShortId(container.id()));
  PublishEvent(node, container, runtime::v1::CONTAINER_STOPPED_EVENT);
  log::IfError(ReleaseContainer(node, ctx, container),
               "release container " + ShortId(container.id()) + " after a failed start");
}

}  // namespace

absl::StatusOr<runtime::v1::StartContainerResponse> StartContainer(
    Node& node, Context& ctx, const runtime::v1::StartContainerRequest& request) {
  ASSIGN_OR_RETURN(const auto container, node.containers.Find(request.container_id()));
  node.cgroup_moves.KeepQuick(kUntilMoved);
  ctx.SetStage("wait for another operation on the container");
  absl::MutexLock lock(&container->op_mutex);
  RETURN_IF_ERROR(CheckStartable(node, *container));
  RETURN_IF_ERROR(ctx.Check());
  RETURN_IF_ERROR(Update(node, *container, [](auto& next) {
    next.set_state(sv1::CONTAINER_STARTING);
    next.set_runtime_state(true);
  }));
  // Under its own deadline: a start that its caller has given up is finished, not torn down.
  Context own(node.config.runtime.create_timeout);
  if (absl::Status status = Run(node, own, container); !status.ok()) {
    status = Annotate(status,
                      "cannot start container " + container->record()->config().metadata().name());
    Undo(node, *container, status);
    return status;
  }
  PublishEvent(node, *container, runtime::v1::CONTAINER_STARTED_EVENT);
  // The first sample of what it writes, for statistics that are asked for soon.
  static_cast<void>(node.usage.Get(container->id()));
  return runtime::v1::StartContainerResponse();
}

}  // namespace davit::server
