// SPDX-License-Identifier: Apache-2.0
//
// A container in memory: an identity that never changes, an immutable record that is swapped, and
// the mutex that lets one lifecycle operation at a time work on it.
#pragma once

#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"

#include "server/state/state.pb.h"

namespace davit::server {

class Container {
 public:
  using Record = davit::state::v1::ContainerRecord;

  explicit Container(std::shared_ptr<const Record> record)
      : id_(record->id()),
        sandbox_id_(record->sandbox_id()),
        name_(record->name()),
        record_(std::move(record)) {}

  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] const std::string& sandbox_id() const { return sandbox_id_; }
  [[nodiscard]] const std::string& name() const { return name_; }

  // The current snapshot: never waits for an operation.
  [[nodiscard]] std::shared_ptr<const Record> record() const {
    absl::MutexLock lock(&record_mutex_);
    return record_;
  }
  // Only the holder of op_mutex, after the new record is in the database.
  void set_record(std::shared_ptr<const Record> record) {
    absl::MutexLock lock(&record_mutex_);
    record_ = std::move(record);
  }

  // Held for the whole of Create, Start, Remove, Update and the short parts of Stop (never while
  // Stop waits for the container to end). Order: sandbox.op_mutex before container.op_mutex.
  absl::Mutex op_mutex;

 private:
  const std::string id_;
  const std::string sandbox_id_;
  const std::string name_;
  mutable absl::Mutex record_mutex_;
  std::shared_ptr<const Record> record_ ABSL_GUARDED_BY(record_mutex_);
};

}  // namespace davit::server
