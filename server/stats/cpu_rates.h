// SPDX-License-Identifier: Apache-2.0
//
// How fast CPU time is used, between two requests for statistics: no timer samples anything.
// Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace davit::server {

class CpuRates {
 public:
  // Nanoseconds of CPU time a second, since the last call at least a second ago; nothing while
  // there is none.
  std::optional<uint64_t> Observe(const std::string& id, int64_t timestamp_ns, uint64_t usage_ns);
  void Forget(const std::string& id);

 private:
  struct Sample {
    int64_t timestamp_ns;
    uint64_t usage_ns;
    std::optional<uint64_t> rate;
  };
  absl::Mutex mutex_;
  std::map<std::string, Sample> samples_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit::server
