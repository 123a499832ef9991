// SPDX-License-Identifier: Apache-2.0
//
// Changes of a table of iptables, by iptables-restore(8) --noflush: those that come while one run
// is under way go together into the next one. Each is made as a whole or not at all, whatever
// becomes of the others. Thread-safe.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "base/context.h"

namespace davit::network::builtin {

class RestoreBatch {
 public:
  // `program` is iptables or ip6tables.
  RestoreBatch(std::string program, std::string table);

  // True if the programs are installed.
  [[nodiscard]] bool IsInstalled() const;

  // `lines` are those that iptables-save prints, and "-D", "-F", "-X". A run takes as long as it
  // takes, twenty seconds at most: it may have begun for somebody else. Internal carries what
  // iptables-restore says.
  absl::Status Apply(Context& ctx, const std::string& lines);
  // What iptables-save prints.
  [[nodiscard]] absl::StatusOr<std::string> Save(Context& ctx) const;

 private:
  struct Change {
    const std::string& lines;
    absl::Status status;
    bool done = false;
  };

  [[nodiscard]] absl::Status Restore(const std::string& lines) const;
  void RunAll(const std::deque<Change*>& changes) const;

  const std::string program_;
  const std::string table_;
  absl::Mutex mutex_;
  absl::CondVar finished_;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Change*> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit::network::builtin
