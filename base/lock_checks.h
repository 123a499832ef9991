// SPDX-License-Identifier: Apache-2.0
//
// The checks of absl::Mutex, which gRPC's locks are, too: Debian's library has them on, and each
// lock taken while another is held is noted in a graph of all of them.
#pragma once

#include "absl/synchronization/mutex.h"

namespace davit {

// First thing in main(): off where the program is built to run, on where it is built to be tested
// (without optimization).
inline void ChooseLockChecks() {
#ifdef __OPTIMIZE__
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
}

}  // namespace davit
