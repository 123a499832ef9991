// SPDX-License-Identifier: Apache-2.0
//
// How much each container has written into its root file system. Walking a directory tree is slow,
// so it happens in the background: a request gets the newest sample, whose timestamp says how old
// it is, and asks for a new one when it is older than the refresh interval. An idle daemon walks
// nothing. Thread-safe.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/synchronization/mutex.h"

#include "base/executor.h"
#include "storage/storage.h"

namespace davit::server {

// Of the file system that holds the writable layers.
struct FsCapacity {
  uint64_t bytes = 0;
  uint64_t inodes = 0;
  uint64_t inodes_free = 0;
};

class WritableUsage {
 public:
  WritableUsage(storage::Storage& storage, Executor& executor, std::chrono::milliseconds refresh)
      : storage_(storage), executor_(executor), refresh_(refresh) {}

  // The newest sample, or nothing if there is none yet.
  std::optional<storage::FsUsage> Get(const std::string& container_id);
  // The sum over the newest samples of all containers; its timestamp is the oldest among them.
  storage::FsUsage Total();
  // As of the newest sample of any container; nothing before the first.
  std::optional<FsCapacity> Capacity();
  void Forget(const std::string& container_id);
  // Has layers of images measured that have not been, for Storage::ImageFsUsage.
  void MeasureImages();

 private:
  void Refresh(const std::string& container_id);

  storage::Storage& storage_;
  Executor& executor_;
  const std::chrono::milliseconds refresh_;
  absl::Mutex mutex_;
  std::map<std::string, storage::FsUsage> samples_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> walking_ ABSL_GUARDED_BY(mutex_);
  bool measuring_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<FsCapacity> capacity_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit::server
