// SPDX-License-Identifier: Apache-2.0
#include "server/container/exit_watcher.h"

#include <signal.h>
#include <sys/epoll.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/time/time.h"

#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "base/time.h"
#include "server/container/forbidden_calls.h"
#include "server/container/signals.h"
#include "server/container/teardown.h"
#include "server/events/publish.h"
#include "server/node.h"
#include "server/oci/monitor.h"
#include "server/paths.h"
#include "server/update.h"

namespace davit::server {
namespace {

namespace sv1 = davit::state::v1;

constexpr size_t kThreads = 4;
constexpr int kLostExitCode = 255;
constexpr int kKilledExitCode = 128 + SIGKILL;
constexpr int kStartErrorExitCode = 128;
constexpr absl::Duration kCancelGranularity = absl::Milliseconds(50);
constexpr std::chrono::minutes kReleaseTimeout{2};

void FillExit(Container::Record& record, const oci::ExitInfo& exit) {
  record.set_state(sv1::CONTAINER_EXITED);
  record.set_exit_code(exit.exit_code);
  record.set_finished_at(exit.finished_at_ns);
  // The start is noted when the daemon hears of it; a quick container has ended by then.
  record.set_started_at(std::min(record.started_at(), exit.finished_at_ns));
  record.set_reason(ExitReason(exit.exit_code, exit.oom_killed));
}

// Unless it has ended by itself just before.
void FillForbiddenCalls(const Node& node, Container::Record& record) {
  const KillReason kill = ForbiddenCallsReason(node, record);
  if (record.exit_code() == kKilledExitCode && !kill.reason.empty()) {
    record.set_reason(kill.reason);
    record.set_message(kill.message);
  }
}

void FillLost(Container::Record& record) {
  const bool starting = record.state() == sv1::CONTAINER_STARTING;
  record.set_state(sv1::CONTAINER_EXITED);
  record.set_finished_at(NowNanos());
  if (starting) {
    record.set_exit_code(kStartErrorExitCode);
    record.set_reason("StartError");
    record.set_message("davit was restarted while it started the container");
    return;
  }
  record.set_exit_code(kLostExitCode);
  record.set_reason("Error");
  record.set_message(
      fmt::format("the monitor of the container (process {}) died; the container was killed, since "
                  "its output and exit code could not be collected any more",
                  record.monitor_pid()));
}

void KillOrphan(Node& node, const Container::Record& record) {
  log::IfError(SignalContainer(record, SIGKILL),
               "kill container " + ShortId(record.id()) + ", whose monitor died");
  log::IfError(node.cgroup_manager.KillAll(record.cgroup()),
               "kill what is left in cgroup " + record.cgroup());
}

}  // namespace

const char* ExitReason(int exit_code, bool oom_killed) {
  if (oom_killed) {
    return "OOMKilled";
  }
  return exit_code == 0 ? "Completed" : "Error";
}

absl::Status RecordExit(Node& node, Container& container) {
  const auto state = container.record()->state();
  if (state != sv1::CONTAINER_RUNNING && state != sv1::CONTAINER_STARTING) {
    return absl::OkStatus();
  }
  const Paths paths(node.config.storage.run);
  const auto exit = oci::ReadExit(paths.Container(container.id()));
  const bool known = exit.ok() && exit->has_value();
  if (!known) {
    KillOrphan(node, *container.record());
  }
  auto change = [&](Container::Record& next) {
    known ? FillExit(next, **exit) : FillLost(next);
    FillForbiddenCalls(node, next);
    if (!exit.ok()) {
      next.set_message(Message(exit.status()));
    }
  };
  const absl::Status saved = Update(node, container, change);
  if (!saved.ok()) {
    // A full disk must not make a dead container look alive; at the next start it is read again.
    auto next = std::make_shared<Container::Record>(*container.record());
    change(*next);
    container.set_record(std::move(next));
  }
  return saved;
}

struct ExitWatcher::Entry {
  std::shared_ptr<Container> container;
  UniqueFd pidfd;
  EventLoop::WatchId watch = 0;
  bool stop_signalled = false;
  bool done = false;
};

ExitWatcher::ExitWatcher() = default;
ExitWatcher::~ExitWatcher() {
  Detach();
}

void ExitWatcher::Attach(Node& node) {
  node_ = &node;
  executor_ = std::make_unique<Executor>(kThreads);
  absl::MutexLock lock(&mutex_);
  detached_ = false;
}

void ExitWatcher::Detach() {
  std::map<std::string, std::shared_ptr<Entry>> entries;
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(detached_, true)) {
      return;
    }
    entries.swap(entries_);
  }
  for (const auto& [id, entry] : entries) {
    node_->loop.Unwatch(entry->watch);
  }
  executor_.reset();
}

void ExitWatcher::RunLater(std::function<void()> work) {
  absl::MutexLock lock(&mutex_);
  if (!detached_) {
    executor_->Run(std::move(work));
  }
}

absl::Status ExitWatcher::Watch(std::shared_ptr<Container> container, UniqueFd monitor_pidfd) {
  const std::string id = container->id();
  auto entry = std::make_shared<Entry>();
  entry->container = std::move(container);
  entry->pidfd = std::move(monitor_pidfd);
  absl::MutexLock lock(&mutex_);
  if (detached_) {
    return absl::OkStatus();  // the next daemon finds it
  }
  // One shot: a pidfd stays readable, and the handling is not done within the callback. The
  // callback waits for the mutex, never the loop for a callback.
  ASSIGN_OR_RETURN(entry->watch, node_->loop.Watch(entry->pidfd.get(), EPOLLIN | EPOLLONESHOT,
                                                   [this, id](uint32_t) { OnMonitorEnd(id); }));
  entries_[id] = std::move(entry);
  return absl::OkStatus();
}

void ExitWatcher::OnMonitorEnd(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  const auto it = entries_.find(id);
  if (it != entries_.end() && !detached_) {
    executor_->Run([this, entry = it->second] { Finish(entry); });
  }
}

void ExitWatcher::Finish(const std::shared_ptr<Entry>& entry) {
  Container& container = *entry->container;
  {
    // Whoever started the container holds the mutex until it is watched.
    absl::MutexLock op(&container.op_mutex);
    log::IfError(RecordExit(*node_, container),
                 "record the exit of container " + ShortId(container.id()));
    PublishEvent(*node_, container, runtime::v1::CONTAINER_STOPPED_EVENT);
    absl::MutexLock lock(&mutex_);
    entry->done = true;
    entries_.erase(container.id());
  }
  node_->forbidden_calls.Forget(container.id());
  node_->loop.Unwatch(entry->watch);
  oci::ReapMonitor(entry->pidfd.get());
  // Behind the exits that are waiting to be recorded.
  RunLater([this, entry] { Release(entry); });
}

void ExitWatcher::Release(const std::shared_ptr<Entry>& entry) {
  absl::MutexLock op(&entry->container->op_mutex);
  if (entry->container->record()->state() != sv1::CONTAINER_EXITED) {
    return;  // being removed: that releases
  }
  Context ctx(kReleaseTimeout);
  log::IfError(ReleaseContainer(*node_, ctx, *entry->container),
               "release container " + ShortId(entry->container->id()));
}

absl::Status ExitWatcher::AwaitExit(Context& ctx, const std::string& id) {
  absl::MutexLock lock(&mutex_);
  const auto it = entries_.find(id);
  if (it == entries_.end()) {
    return absl::OkStatus();
  }
  const std::shared_ptr<Entry> entry = it->second;
  while (!mutex_.AwaitWithTimeout(absl::Condition(&entry->done), kCancelGranularity)) {
    RETURN_IF_ERROR(ctx.Check());
    if (detached_) {
      return Unavailable("davit is stopping: the end of container {} is not waited for",
                         ShortId(id));
    }
  }
  return absl::OkStatus();
}

bool ExitWatcher::ClaimStopSignal(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  const auto it = entries_.find(id);
  return it != entries_.end() && !std::exchange(it->second->stop_signalled, true);
}

}  // namespace davit::server
