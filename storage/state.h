// SPDX-License-Identifier: Apache-2.0
//
// What the image store and the root file system store share: database, paths and snapshot. The
// snapshot is swapped under a mutex that is held for the copy of three pointers only. `changes`
// serialises everything that alters records; it is held over database commits and renames, never
// over the application or removal of a tree, and no read takes it.
#pragma once

#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "base/db.h"
#include "storage/additional_stores.h"
#include "storage/paths.h"
#include "storage/reaper.h"
#include "storage/records.h"
#include "storage/storage.h"

namespace davit::storage {

class State {
 public:
  State(Options options, Db& db, Snapshot snapshot, AdditionalStores additional)
      : options_(std::move(options)),
        paths_(options_.root, options_.run),
        db_(db),
        additional_(std::move(additional)),
        snapshot_(std::move(snapshot)) {
    ShowAdditional(snapshot_, additional_);
  }

  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] const Paths& paths() const { return paths_; }
  [[nodiscard]] Db& db() { return db_; }

  [[nodiscard]] Snapshot snapshot() const {
    absl::MutexLock lock(&snapshot_mutex_);
    return snapshot_;
  }
  // The database holds `next` already. What it lacks now and additional stores have shows again.
  void Publish(Snapshot next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(changes) {
    ShowAdditional(next, additional_);
    absl::MutexLock lock(&snapshot_mutex_);
    std::swap(snapshot_, next);  // the old tables are freed after the lock
  }

  // Deletes what no record names any more.
  [[nodiscard]] Reaper& reaper() const { return reaper_; }

  absl::Mutex changes;

 private:
  const Options options_;
  const Paths paths_;
  Db& db_;
  const AdditionalStores additional_;
  mutable absl::Mutex snapshot_mutex_;
  Snapshot snapshot_ ABSL_GUARDED_BY(snapshot_mutex_);
  mutable Reaper reaper_;
};

}  // namespace davit::storage
