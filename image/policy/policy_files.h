// SPDX-License-Identifier: Apache-2.0
//
// The policies of a node: one for all, and one for each Kubernetes namespace that has its own,
// which counts instead (`<directory>/<namespace>.json`). A file is read again when it has changed,
// so that a change needs no restart; one that cannot be read or understood lets no image through.
// Thread-safe.
#pragma once

#include <sys/types.h>

#include <ctime>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "image/policy/policy.h"

namespace davit::image {

// The file that counts where none is configured, if it exists.
inline constexpr const char* kDefaultPolicyFile = "/etc/containers/policy.json";

struct ActivePolicy {
  std::string file;  // "": there is none, and everything is accepted
  std::shared_ptr<const Policy> policy;
};

class PolicyFiles {
 public:
  // `file`: "" for kDefaultPolicyFile if it exists.
  PolicyFiles(std::string file, std::string directory)
      : configured_(std::move(file)), directory_(std::move(directory)) {}

  // What counts for pods of this namespace ("" for none). The error names the file and the mistake.
  absl::StatusOr<ActivePolicy> For(const std::string& pod_namespace) const;
  // Its file alone, without reading it.
  absl::StatusOr<std::string> FileFor(const std::string& pod_namespace) const;

 private:
  // What a change of a file changes.
  struct Stamp {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    timespec modified = {};
    timespec changed = {};
    [[nodiscard]] bool Same(const Stamp& other) const;
  };
  struct Entry {
    Stamp stamp;
    std::shared_ptr<const Policy> policy;
  };
  static absl::StatusOr<Stamp> StampOf(int fd, const std::string& path);
  absl::StatusOr<std::shared_ptr<const Policy>> Load(const std::string& path) const;

  const std::string configured_;
  const std::string directory_;
  mutable absl::Mutex mutex_;
  mutable std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit::image
