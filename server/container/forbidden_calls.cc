// SPDX-License-Identifier: Apache-2.0
#include "server/container/forbidden_calls.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>

#include "base/event_loop.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status.h"
#include "base/time.h"
#include "server/container/stop.h"
#include "server/node.h"
#include "server/paths.h"
#include "server/spec/seccomp_notifier.h"
#include "server/update.h"

namespace davit::server {
namespace {

namespace sv1 = davit::state::v1;

constexpr int64_t kSecond = 1'000'000'000;
// After the last call, and at most after the first: one that goes on calling is not spared.
constexpr int64_t kGrace = 5 * kSecond;
constexpr int64_t kLongest = 60 * kSecond;
// Between two lines of the log, unless a call is new: a container may call for hours.
constexpr int64_t kQuiet = 60 * kSecond;
constexpr size_t kMaxFile = 1U << 20U;

absl::StatusOr<spec::CallCounts> Read(const Node& node, const std::string& id) {
  ASSIGN_OR_RETURN(const std::string bytes,
                   ReadFile(Paths(node.config.storage.run).SeccompCalls(id), kMaxFile));
  return spec::ReadCallCounts(bytes);
}

}  // namespace

struct ForbiddenCallsWatcher::Entry {
  std::shared_ptr<Container> container;
  UniqueFd inotify;
  EventLoop::WatchId watch = 0;
  std::optional<EventLoop::TimerId> timer = {};  // of the mutex
  // Of the thread.
  std::map<std::string, uint64_t> told = {};
  int64_t told_ns = 0;
  int64_t first_ns = 0;
};

ForbiddenCallsWatcher::ForbiddenCallsWatcher() = default;
ForbiddenCallsWatcher::~ForbiddenCallsWatcher() {
  Detach();
}

void ForbiddenCallsWatcher::Attach(Node& node) {
  node_ = &node;
  executor_ = std::make_unique<Executor>(1);
  absl::MutexLock lock(&mutex_);
  detached_ = false;
}

void ForbiddenCallsWatcher::Detach() {
  std::map<std::string, EntryPtr> entries;
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(detached_, true)) {
      return;
    }
    entries.swap(entries_);
  }
  for (const auto& [id, entry] : entries) {
    Release(*entry);
  }
  executor_.reset();
}

// Without the mutex: a callback that runs takes it, and is waited for. Nobody sets the timer of an
// entry that is in the map no more.
void ForbiddenCallsWatcher::Release(Entry& entry) {
  node_->loop.Unwatch(entry.watch);
  std::optional<EventLoop::TimerId> timer;
  {
    absl::MutexLock lock(&mutex_);
    timer = std::exchange(entry.timer, std::nullopt);
  }
  if (timer) {
    node_->loop.CancelTimer(*timer);
  }
}

absl::Status ForbiddenCallsWatcher::Watch(std::shared_ptr<Container> container) {
  const std::string id = container->id();
  if (container->record()->forbidden_calls() == sv1::FORBIDDEN_CALLS_FAIL) {
    return absl::OkStatus();
  }
  const std::string path = Paths(node_->config.storage.run).SeccompCalls(id);
  auto entry = std::make_shared<Entry>();
  entry->container = std::move(container);
  entry->inotify.Reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!entry->inotify.valid() ||
      inotify_add_watch(entry->inotify.get(), path.c_str(), IN_MODIFY) < 0) {
    return ErrnoStatus(errno, "watch " + path + " for forbidden system calls");
  }
  absl::MutexLock lock(&mutex_);
  if (detached_) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(entry->watch, node_->loop.Watch(entry->inotify.get(), EPOLLIN,
                                                   [this, id](uint32_t) { OnChange(id); }));
  entries_[id] = entry;
  LookLater(entry);  // what was counted before
  return absl::OkStatus();
}

void ForbiddenCallsWatcher::LookLater(const EntryPtr& entry) {
  executor_->Run([this, entry] { Look(entry, Moment::kRunning); });
}

void ForbiddenCallsWatcher::OnChange(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end() || detached_) {
    return;
  }
  std::array<char, 4096> events;
  while (read(found->second->inotify.get(), events.data(), events.size()) > 0) {
  }
  LookLater(found->second);
}

void ForbiddenCallsWatcher::OnTime(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(id);
  if (found != entries_.end() && !detached_) {
    found->second->timer.reset();
    LookLater(found->second);
  }
}

void ForbiddenCallsWatcher::Look(const EntryPtr& entry, Moment moment) {
  const std::string id = entry->container->id();
  const auto counts = Read(*node_, id);
  if (!counts.ok()) {
    if (!absl::IsNotFound(counts.status())) {  // the container is removed
      log::Warning("container {}: its forbidden system calls cannot be read: {}", ShortId(id),
                   Message(counts.status()));
    }
    return;
  }
  if (counts->calls.empty()) {
    return;
  }
  const int64_t now = NowNanos();
  const bool is_new = counts->calls.size() > entry->told.size();
  if (counts->calls != entry->told &&
      (is_new || moment == Moment::kEnded || now - entry->told_ns >= kQuiet)) {
    const auto record = entry->container->record();
    log::Warning("container {} ({}) calls what its seccomp profile forbids: {}", ShortId(id),
                 record->config().metadata().name(), spec::CallsText(*counts));
    entry->told = counts->calls;
    entry->told_ns = now;
  }
  if (moment == Moment::kEnded) {
    return;
  }
  if (entry->container->record()->forbidden_calls() != sv1::FORBIDDEN_CALLS_STOP) {
    return;
  }
  // Counted, and its time is not written yet: it is as new as can be.
  const int64_t last = counts->last_ns == 0 ? now : counts->last_ns;
  if (entry->first_ns == 0) {
    entry->first_ns = last;
  }
  const int64_t due = std::min(last + kGrace, entry->first_ns + kLongest);
  if (due <= now) {
    Stop(entry, spec::CallsText(*counts));
  } else {
    SetTimer(entry, due);
  }
}

void ForbiddenCallsWatcher::SetTimer(const EntryPtr& entry, int64_t due_ns) {
  const std::string id = entry->container->id();
  // Rounded up, and no longer than the grace should the clock be set back.
  const int64_t wait = std::clamp<int64_t>(due_ns - NowNanos(), 0, kGrace) / 1'000'000 + 1;
  std::optional<EventLoop::TimerId> old;
  {
    absl::MutexLock lock(&mutex_);
    old = std::exchange(entry->timer, std::nullopt);
  }
  if (old) {  // without the mutex, for which its callback may wait
    node_->loop.CancelTimer(*old);
  }
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end() || found->second != entry || detached_) {
    return;
  }
  entry->timer = node_->loop.After(std::chrono::milliseconds(wait), [this, id] { OnTime(id); });
}

void ForbiddenCallsWatcher::Stop(const EntryPtr& entry, const std::string& calls) {
  Container& container = *entry->container;
  const std::string what = "container " + ShortId(container.id());
  {
    absl::MutexLock op(&container.op_mutex);
    const auto record = container.record();
    if (record->state() != sv1::CONTAINER_RUNNING) {
      return;
    }
    if (!record->seccomp_killed()) {
      // First on record: whoever sees its end knows why.
      const absl::Status noted =
          Update(*node_, container, [](auto& next) { next.set_seccomp_killed(true); });
      log::IfError(noted, "note that " + what + " is killed for its system calls");
    }
  }
  log::Warning("{} is killed: it called what its seccomp profile forbids: {}", what, calls);
  log::IfError(KillNow(*node_, container), "kill " + what);
}

void ForbiddenCallsWatcher::Forget(const std::string& id) {
  EntryPtr entry;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end() || detached_) {
      return;
    }
    entry = std::move(found->second);
    entries_.erase(found);
    executor_->Run([this, entry] { Look(entry, Moment::kEnded); });
  }
  Release(*entry);
}

KillReason ForbiddenCallsReason(const Node& node, const Container::Record& record) {
  if (!record.seccomp_killed()) {
    return {};
  }
  const auto counts = Read(node, record.id());
  return {.reason = "seccomp killed",
          .message = counts.ok() && !counts->calls.empty()
                         ? "Used forbidden syscalls: " + spec::CallsText(*counts)
                         : "Used forbidden syscalls"};
}

std::map<std::string, uint64_t> ForbiddenCallsOf(const Node& node,
                                                 const Container::Record& record) {
  if (record.forbidden_calls() == sv1::FORBIDDEN_CALLS_FAIL) {
    return {};
  }
  auto counts = Read(node, record.id());
  return counts.ok() ? std::move(counts->calls) : std::map<std::string, uint64_t>();
}

}  // namespace davit::server
