// SPDX-License-Identifier: Apache-2.0
#include "server/recovery.h"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "base/time.h"
#include "server/container/exit_watcher.h"
#include "server/container/forbidden_calls.h"
#include "server/container/quiet_cpus.h"
#include "server/container/teardown.h"
#include "server/irq_affinity.h"
#include "server/oci/monitor.h"
#include "server/paths.h"
#include "server/sandbox/infra_process.h"
#include "server/sandbox/pod_config.h"
#include "server/sandbox/teardown.h"
#include "server/selinux/labeller.h"
#include "server/state/state_db.h"
#include "server/sweep.h"
#include "server/update.h"

namespace davit::server {
namespace {

namespace sv1 = davit::state::v1;

using Work = std::function<void()>;

constexpr std::chrono::minutes kWorkTimeout{5};
// Finishing may hang in a CNI plugin: most threads of the executor stay free for requests.
constexpr int kWorkers = 4;
constexpr int kRebootExitCode = 255;

void RunInBackground(Node& node, std::vector<Work> work) {
  struct Queue {
    std::vector<Work> work;
    std::atomic<size_t> next{0};
  };
  auto queue = std::make_shared<Queue>();
  queue->work = std::move(work);
  const size_t workers = std::min<size_t>(kWorkers, queue->work.size());
  for (size_t i = 0; i < workers; ++i) {
    node.executor.Run([queue] {
      for (size_t n = queue->next++; n < queue->work.size(); n = queue->next++) {
        queue->work[n]();
      }
    });
  }
}

// When this boot began, in wall-clock time: what ran before it has ended by then.
int64_t BootTimeNanos() {
  timespec up = {};
  clock_gettime(CLOCK_BOOTTIME, &up);
  return NowNanos() - (int64_t{up.tv_sec} * 1'000'000'000 + up.tv_nsec);
}

class Recovery {
 public:
  explicit Recovery(Node& node) : node_(node) {}

  absl::Status Run();

 private:
  void LoadSandbox(sv1::SandboxRecord record);
  void LoadContainer(sv1::ContainerRecord record);

  absl::Status Settle(const std::shared_ptr<Sandbox>& sandbox);
  absl::Status Settle(const std::shared_ptr<Container>& container);
  absl::Status SettleAfterReboot(Sandbox& sandbox);
  absl::Status SettleAfterReboot(Container& container);
  absl::Status FindRunning(const std::shared_ptr<Container>& container);

  void FinishLater(const std::shared_ptr<Sandbox>& sandbox);
  void RemoveLater(const std::shared_ptr<Container>& container);
  void ReleaseLater(const std::shared_ptr<Container>& container);

  Node& node_;
  std::vector<Work> work_;
};

absl::Status Recovery::SettleAfterReboot(Sandbox& sandbox) {
  return Update(node_, sandbox, [](auto& next) {
    next.set_boot_id(BootId());
    next.set_infra_pid(0);
    next.set_infra_start_time(0);
    if (next.state() == sv1::SANDBOX_READY) {
      next.set_state(sv1::SANDBOX_STOPPING);
    }
  });
}

// What is not READY or STOPPED is on its way down, and goes on there.
absl::Status Recovery::Settle(const std::shared_ptr<Sandbox>& sandbox) {
  if (sandbox->record()->boot_id() != BootId()) {
    RETURN_IF_ERROR(SettleAfterReboot(*sandbox));
  }
  const auto record = sandbox->record();
  if (record->state() == sv1::SANDBOX_CREATING) {
    RETURN_IF_ERROR(
        Update(node_, *sandbox, [](auto& next) { next.set_state(sv1::SANDBOX_REMOVING); }));
  }
  if (record->state() == sv1::SANDBOX_READY && PidMode(record->config()) == runtime::v1::POD &&
      !InfraProcessLives(*record)) {
    log::Warning("sandbox {}: its infra process is gone, and its PID namespace with it: stopping",
                 ShortId(sandbox->id()));
    return Update(node_, *sandbox, [](auto& next) { next.set_state(sv1::SANDBOX_STOPPING); });
  }
  return absl::OkStatus();
}

absl::Status Recovery::SettleAfterReboot(Container& container) {
  return Update(node_, container, [](auto& next) {
    next.set_boot_id(BootId());
    next.set_runtime_state(false);  // it was in the run directory and in the kernel
    next.set_pid(0);
    next.set_monitor_pid(0);
    if (next.state() == sv1::CONTAINER_STARTING || next.state() == sv1::CONTAINER_RUNNING) {
      next.set_state(sv1::CONTAINER_EXITED);
      next.set_exit_code(kRebootExitCode);
      next.set_finished_at(std::max(next.started_at(), BootTimeNanos()));
      next.set_reason("Unknown");
      next.set_message("the node was rebooted while the container ran: its exit code is not known");
    }
  });
}

// The daemon died between the start of the monitor and the row that says so, or while the container
// ran: its monitor is there, or what it wrote last.
absl::Status Recovery::FindRunning(const std::shared_ptr<Container>& container) {
  const std::string run_dir = Paths(node_.config.storage.run).Container(container->id());
  absl::MutexLock lock(&container->op_mutex);
  auto monitor = oci::FindMonitor(run_dir);
  if (!monitor.ok()) {
    if (!absl::IsNotFound(monitor.status())) {
      log::Warning("container {}: its monitor cannot be asked: {}", ShortId(container->id()),
                   Message(monitor.status()));
    }
    RETURN_IF_ERROR(RecordExit(node_, *container));
    ReleaseLater(container);
    return absl::OkStatus();
  }
  if (container->record()->state() == sv1::CONTAINER_STARTING) {
    RETURN_IF_ERROR(Update(node_, *container, [&monitor](auto& next) {
      next.set_state(sv1::CONTAINER_RUNNING);
      next.set_started_at(NowNanos());
      next.set_pid(monitor->container_pid);
      next.set_pid_start_time(monitor->container_start_time);
      next.set_monitor_pid(monitor->monitor_pid);
      next.set_monitor_start_time(monitor->monitor_start_time);
    }));
  }
  log::IfError(node_.forbidden_calls.Watch(container),
               "watch container " + ShortId(container->id()));
  ReclaimQuietCpus(node_, *container->record());
  return node_.exits.Watch(container, std::move(monitor->monitor_pidfd));
}

absl::Status Recovery::Settle(const std::shared_ptr<Container>& container) {
  if (container->record()->boot_id() != BootId()) {
    RETURN_IF_ERROR(SettleAfterReboot(*container));
  }
  switch (container->record()->state()) {
    case sv1::CONTAINER_CREATING:
    case sv1::CONTAINER_REMOVING:
      RemoveLater(container);
      return absl::OkStatus();
    case sv1::CONTAINER_STARTING:
    case sv1::CONTAINER_RUNNING:
      return FindRunning(container);
    case sv1::CONTAINER_EXITED:
      if (container->record()->runtime_state()) {
        ReleaseLater(container);
      }
      return absl::OkStatus();
    default:
      return absl::OkStatus();
  }
}

void Recovery::FinishLater(const std::shared_ptr<Sandbox>& sandbox) {
  const auto state = sandbox->record()->state();
  if (state != sv1::SANDBOX_STOPPING && state != sv1::SANDBOX_REMOVING) {
    return;
  }
  work_.push_back([&node = node_, sandbox] {
    absl::MutexLock lock(&sandbox->op_mutex);
    if (!node.sandboxes.Find(sandbox->id()).ok()) {
      return;  // a request was first
    }
    Context ctx(kWorkTimeout);
    const bool remove = sandbox->record()->state() == sv1::SANDBOX_REMOVING;
    log::IfError(
        remove ? RemoveSandboxLocked(node, ctx, *sandbox) : StopSandboxLocked(node, ctx, *sandbox),
        fmt::format("sandbox {}: finish its {} after a restart", ShortId(sandbox->id()),
                    remove ? "removal" : "stop"));
  });
}

void Recovery::RemoveLater(const std::shared_ptr<Container>& container) {
  log::IfError(
      Update(node_, *container, [](auto& next) { next.set_state(sv1::CONTAINER_REMOVING); }),
      "mark container " + ShortId(container->id()) + " as being removed");
  work_.push_back([&node = node_, container] {
    Context ctx(kWorkTimeout);
    log::IfError(RemoveContainerObject(node, ctx, *container),
                 "remove container " + ShortId(container->id()) + " after a restart");
  });
}

void Recovery::ReleaseLater(const std::shared_ptr<Container>& container) {
  work_.push_back([&node = node_, container] {
    Context ctx(kWorkTimeout);
    absl::MutexLock lock(&container->op_mutex);
    if (container->record()->state() == sv1::CONTAINER_EXITED) {
      log::IfError(ReleaseContainer(node, ctx, *container),
                   "release container " + ShortId(container->id()) + " after a restart");
    }
  });
}

void Recovery::LoadSandbox(sv1::SandboxRecord record) {
  auto sandbox =
      std::make_shared<Sandbox>(std::make_shared<const Sandbox::Record>(std::move(record)));
  if (node_.selinux != nullptr) {
    node_.selinux->KeepLevel(sandbox->record()->selinux_level());
  }
  log::IfError(Settle(sandbox), "recover sandbox " + ShortId(sandbox->id()));
  node_.sandboxes.Add(sandbox);
  FinishLater(sandbox);
}

void Recovery::LoadContainer(sv1::ContainerRecord record) {
  const bool orphan = !node_.sandboxes.Find(record.sandbox_id()).ok();
  auto container =
      std::make_shared<Container>(std::make_shared<const Container::Record>(std::move(record)));
  log::IfError(Settle(container), "recover container " + ShortId(container->id()));
  node_.containers.Add(container);
  if (orphan) {
    log::Warning("container {}: its sandbox {} has no record, it is removed",
                 ShortId(container->id()), ShortId(container->sandbox_id()));
    work_.push_back([&node = node_, container] {
      Context ctx(kWorkTimeout);
      log::IfError(RemoveContainerObject(node, ctx, *container),
                   "remove container " + ShortId(container->id()));
    });
  }
}

absl::Status Recovery::Run() {
  const int64_t begin = NowNanos();
  ASSIGN_OR_RETURN(StateDb::All all, node_.state.LoadAll());
  for (const auto& damaged : all.damaged) {
    log::Error("the record of {} is damaged: what is left of it is removed", damaged);
    const std::string id = damaged.substr(damaged.rfind(' ') + 1);
    log::IfError(damaged.starts_with("sandbox") ? node_.state.DeleteSandbox(id)
                                                : node_.state.DeleteContainer(id),
                 "delete the damaged record of " + damaged);
  }
  for (auto& record : all.sandboxes) {
    LoadSandbox(std::move(record));
  }
  for (auto& record : all.containers) {
    LoadContainer(std::move(record));
  }
  if (node_.irqs != nullptr) {
    log::IfError(node_.irqs->Restore(), "settle which CPUs are without interrupts");
  }
  // Listed now, while nothing new can be made; removed in the background.
  for (auto& leftover : FindLeftovers(node_)) {
    work_.push_back(std::move(leftover));
  }
  if (!all.sandboxes.empty() || !work_.empty()) {
    log::Info("recovered {} sandboxes and {} containers in {}, {} things to finish",
              node_.sandboxes.List().size(), node_.containers.List().size(),
              HumanDuration(NowNanos() - begin), work_.size());
  }
  RunInBackground(node_, std::move(work_));
  return absl::OkStatus();
}

}  // namespace

absl::Status Recover(Node& node) {
  return Recovery(node).Run();
}

}  // namespace davit::server
