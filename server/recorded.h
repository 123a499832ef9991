// SPDX-License-Identifier: Apache-2.0
//
// What a sandbox and a container have in common: an immutable record that is swapped, and what
// lists say of it. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"

namespace davit::server {

template <typename RecordType>
class Recorded {
 public:
  using Record = RecordType;

  explicit Recorded(std::shared_ptr<const Record> record) : record_(std::move(record)) {}

  // The current snapshot: never waits for an operation.
  [[nodiscard]] std::shared_ptr<const Record> record() const {
    absl::MutexLock lock(&record_mutex_);
    return record_;
  }
  // Only the holder of op_mutex, after the new record is in the database.
  void set_record(std::shared_ptr<const Record> record) {
    absl::MutexLock lock(&record_mutex_);
    record_ = std::move(record);
    entry_.reset();
    if (changes_ != nullptr) {
      ++*changes_;
    }
  }

  // Each new record from now on counts there, once it can be seen.
  void CountChangesIn(std::shared_ptr<std::atomic<uint64_t>> changes) {
    absl::MutexLock lock(&record_mutex_);
    changes_ = std::move(changes);
  }

  struct Listed {
    std::shared_ptr<const Record> record;
    std::shared_ptr<const std::string> entry;
  };
  // The snapshot with its entry of a list, serialized: `render` of the record, once for each
  // record.
  template <typename Render>
  [[nodiscard]] Listed WithEntry(Render render) const {
    absl::MutexLock lock(&record_mutex_);
    if (entry_ == nullptr) {
      entry_ = std::make_shared<const std::string>(render(*record_));
    }
    return {record_, entry_};
  }

 private:
  mutable absl::Mutex record_mutex_;
  std::shared_ptr<const Record> record_ ABSL_GUARDED_BY(record_mutex_);
  mutable std::shared_ptr<const std::string> entry_ ABSL_GUARDED_BY(record_mutex_);
  std::shared_ptr<std::atomic<uint64_t>> changes_ ABSL_GUARDED_BY(record_mutex_);
};

}  // namespace davit::server
