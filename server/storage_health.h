// SPDX-License-Identifier: Apache-2.0
//
// How the daemon before this one ended, and what that means for the store. While a daemon runs,
// <root>/running holds the boot ID of the machine; an orderly end removes it. So a daemon that
// finds the file knows that the one before was killed, or, with another boot ID, that the machine
// went down under it. Then the whole store is checked in the background (quick; by content after a
// machine that went down with storage.sync off, which may have lost data of layers).
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "base/context.h"
#include "base/executor.h"
#include "storage/storage.h"

namespace davit::server {

enum class LastEnd { kFirstStart, kOrderly, kKilled, kMachineDied };

class StorageHealth {
 public:
  // Reads the mark of the last daemon and makes ours. The root is locked.
  static absl::StatusOr<std::unique_ptr<StorageHealth>> Create(const std::string& root);
  // Ends a check that is running.
  ~StorageHealth();
  StorageHealth(const StorageHealth&) = delete;
  StorageHealth& operator=(const StorageHealth&) = delete;

  // Checks in the background if the last end asks for it.
  void CheckAfterLastEnd(storage::Storage& storage, Executor& executor, bool synced);
  // All that was written is on disk: the next start need not wonder.
  absl::Status OrderlyEnd();

  // For Status and log: "all well", "2 findings, see the log", "check goes on", "not checked: …".
  [[nodiscard]] std::string Describe() const;
  [[nodiscard]] LastEnd last_end() const { return last_end_; }

 private:
  StorageHealth(std::string root, LastEnd last_end) : root_(std::move(root)), last_end_(last_end) {}
  void Check(storage::Storage& storage, const storage::CheckOptions& options);
  void Say(std::string text, bool checking);

  const std::string root_;
  const LastEnd last_end_;
  Context ctx_;
  mutable absl::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
  bool checking_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace davit::server
