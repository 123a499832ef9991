// SPDX-License-Identifier: Apache-2.0
#include "base/alongside.h"

#include <atomic>

#include <gtest/gtest.h>

namespace davit {
namespace {

TEST(Alongside, RunsBesideItsOwnerAndTellsTheEnd) {
  std::atomic<bool> go{false};
  Alongside work([&] {
    while (!go) {
      std::this_thread::yield();
    }
    return absl::AbortedError("x");
  });
  go = true;  // it would never end if it had run first
  EXPECT_TRUE(absl::IsAborted(work.Join()));
  EXPECT_TRUE(absl::IsAborted(work.Join()));
}

TEST(Alongside, DestructorWaits) {
  std::atomic<bool> done{false};
  {
    const Alongside work([&] {
      done = true;
      return absl::OkStatus();
    });
  }
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace davit
