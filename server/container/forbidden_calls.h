// SPDX-License-Identifier: Apache-2.0
//
// Hears of the forbidden system calls that containers make, for those that are watched for them by
// annotation (server/spec/seccomp_notifier.h): logs them and, where it is asked for, kills the
// container a while after the last one, so that all that it calls are known. Their monitors answer
// and count; this watches the files that they count in (one inotify descriptor for each such
// container), so nothing is lost while no daemon runs, and nobody waits for one.
//
// One thread of its own, which is there while something has happened. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "base/executor.h"
#include "server/container/container.h"

namespace davit::server {

struct Node;

class ForbiddenCallsWatcher {
 public:
  ForbiddenCallsWatcher();
  ~ForbiddenCallsWatcher();  // Detach()
  ForbiddenCallsWatcher(const ForbiddenCallsWatcher&) = delete;
  ForbiddenCallsWatcher& operator=(const ForbiddenCallsWatcher&) = delete;

  // Before any other call. The node outlives the time until Detach().
  void Attach(Node& node);
  // Containers run on, and what they call is counted on, for the next daemon to read.
  void Detach();

  // A container that runs, of now or of an earlier daemon. Does nothing for one that is not to be
  // watched.
  absl::Status Watch(std::shared_ptr<Container> container);
  // Its end is on record. Logs what was counted last.
  void Forget(const std::string& id);

 private:
  struct Entry;
  using EntryPtr = std::shared_ptr<Entry>;

  void OnChange(const std::string& id);
  void OnTime(const std::string& id);
  void LookLater(const EntryPtr& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  enum class Moment { kRunning, kEnded };
  // On the thread.
  void Look(const EntryPtr& entry, Moment moment);
  void Stop(const EntryPtr& entry, const std::string& calls);
  void SetTimer(const EntryPtr& entry, int64_t due_ns);
  void Release(Entry& entry);

  Node* node_ = nullptr;
  std::unique_ptr<Executor> executor_;
  absl::Mutex mutex_;
  bool detached_ ABSL_GUARDED_BY(mutex_) = true;
  std::map<std::string, EntryPtr> entries_ ABSL_GUARDED_BY(mutex_);
};

// What a container that was killed for its calls has as its reason and message; "" for both if it
// was not. Reads the counts.
struct KillReason {
  std::string reason;
  std::string message;
};
KillReason ForbiddenCallsReason(const Node& node, const Container::Record& record);

// What the container has called so far, by name; nothing if it is not watched.
std::map<std::string, uint64_t> ForbiddenCallsOf(const Node& node, const Container::Record& record);

}  // namespace davit::server
