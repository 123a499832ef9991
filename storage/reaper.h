// SPDX-License-Identifier: Apache-2.0
//
// Deletes layer directories that nothing names any more, one after the other in a thread of its own
// with idle I/O priority: whoever removes an image does not wait for its files. The thread ends
// when there is nothing to do. What it does not get to before the daemon ends, the next Open gives
// to the next reaper. Thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace davit::storage {

class Reaper {
 public:
  Reaper() = default;
  // Finishes the tree that is being deleted, leaves the others.
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  void Add(const std::vector<std::string>& directories);
  // Blocks until all that was added is gone or has failed.
  void Drain();
  [[nodiscard]] size_t waiting() const;
  // That could not be deleted, with the reason in the log.
  [[nodiscard]] std::vector<std::string> failed() const;

 private:
  void Work();

  mutable absl::Mutex mutex_;
  std::deque<std::string> queue_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> failed_ ABSL_GUARDED_BY(mutex_);
  bool working_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit::storage
