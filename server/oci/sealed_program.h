// SPDX-License-Identifier: Apache-2.0
//
// A program to be executed from a copy in memory that nobody can change (memfd_create(2), sealed).
// OCI runtimes that guard their file against the containers they run (CVE-2019-5736) make
// themselves such a copy, or a read-only mount, and execute themselves once more at every single
// call; of what is sealed already they know that they need not. Thread-safe.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "base/fd.h"

namespace davit::server::oci {

class SealedProgram {
 public:
  // `path` is absolute.
  explicit SealedProgram(std::string path) : path_(std::move(path)) {}

  // The copy, for execveat(2) and SpawnOptions::program: of the file as it is now, made anew when
  // it has been replaced. Null, and why is logged once for each file, where it cannot be executed
  // from memory (a script, /proc/sys/vm/memfd_noexec): then by its path.
  std::shared_ptr<const UniqueFd> Get() const;

 private:
  const std::string path_;
  mutable absl::Mutex mutex_;
  mutable std::optional<struct stat> copied_ ABSL_GUARDED_BY(mutex_);  // the file, at that time
  mutable std::shared_ptr<const UniqueFd> copy_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit::server::oci
