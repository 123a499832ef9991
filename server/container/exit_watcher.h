// SPDX-License-Identifier: Apache-2.0
//
// Notices the end of containers: one pidfd of each running container's monitor on the event loop,
// nothing else while nothing ends. When a monitor ends its exit file is read, the record becomes
// EXITED, who waits is woken, then what the OCI runtime and the mounts hold is released in the
// background. A monitor that died without an exit file (killed from outside) takes its container
// with it: nobody could collect its output and exit code any more.
//
// Has threads of its own, started on demand, so that an exit is on record at once however much
// other work is queued. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "base/context.h"
#include "base/event_loop.h"
#include "base/executor.h"
#include "base/fd.h"
#include "server/container/container.h"

namespace davit::server {

struct Node;

class ExitWatcher {
 public:
  ExitWatcher();
  ~ExitWatcher();  // Detach()
  ExitWatcher(const ExitWatcher&) = delete;
  ExitWatcher& operator=(const ExitWatcher&) = delete;

  // Before any other call. The node outlives the time until Detach().
  void Attach(Node& node);
  // Ends all watching and waits for what is being handled. Containers run on, for the next daemon
  // to find. Nothing is watched after it.
  void Detach();

  // From RUNNING on. The holder of op_mutex calls it after the record is saved.
  absl::Status Watch(std::shared_ptr<Container> container, UniqueFd monitor_pidfd);

  // Waits until the exit is on record. A container that is not watched is success; Unavailable when
  // the daemon stops.
  absl::Status AwaitExit(Context& ctx, const std::string& id);

  // True for the first to ask while the container is watched: who sends the stop signal.
  bool ClaimStopSignal(const std::string& id);

 private:
  struct Entry;

  void OnMonitorEnd(const std::string& id);
  void Finish(const std::shared_ptr<Entry>& entry);
  void Release(const std::shared_ptr<Entry>& entry);
  // Unless the daemon stops.
  void RunLater(std::function<void()> work);

  Node* node_ = nullptr;
  std::unique_ptr<Executor> executor_;
  absl::Mutex mutex_;
  bool detached_ ABSL_GUARDED_BY(mutex_) = true;
  std::map<std::string, std::shared_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
};

// What an exit looks like on record. Holder of op_mutex.
absl::Status RecordExit(Node& node, Container& container);

// What the kubelet shows as the reason of an end.
const char* ExitReason(int exit_code, bool oom_killed);

}  // namespace davit::server
