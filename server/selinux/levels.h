// SPDX-License-Identifier: Apache-2.0
//
// Levels of pods: two categories that no other pod has, so that pods with the same type cannot
// touch each other's files. Thread-safe.
#pragma once

#include <cstddef>
#include <map>
#include <random>
#include <string>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace davit::server::selinux {

class Levels {
 public:
  // Categories c0 to c<range - 1>; `sensitivity` is "s0".
  Levels(std::string sensitivity, unsigned range);

  // "s0:c1,c2", which nobody has. ResourceExhausted if there is none.
  absl::StatusOr<std::string> Reserve();
  // One that is chosen elsewhere: by a request, or by an earlier daemon. Several may have it.
  void Keep(const std::string& level);
  // As often as it was reserved or kept.
  void Release(const std::string& level);

 private:
  [[nodiscard]] std::string Text(unsigned first, unsigned second) const;
  // "s0:c2,c1" is the same as "s0:c1,c2".
  [[nodiscard]] std::string Normal(const std::string& level) const;

  const std::string sensitivity_;
  const unsigned range_;
  absl::Mutex mutex_;
  std::mt19937 random_ ABSL_GUARDED_BY(mutex_) = std::mt19937(std::random_device()());
  std::map<std::string, size_t> used_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit::server::selinux
