// SPDX-License-Identifier: Apache-2.0
//
// Large blobs over several connections at once: pieces of a blob are fetched side by side and
// passed on in order. How many pieces there may be at a time over all pulls is bounded, and with it
// the memory (image.max_ranges_per_layer, image.range_memory). A blob for which nothing is left
// comes over one connection, and may get more later.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "base/context.h"
#include "base/executor.h"
#include "image/transfer.h"

namespace davit::image {

inline constexpr size_t kRangeBytes = size_t{2} << 20U;

// What all pulls share. Thread-safe.
class RangePool {
 public:
  class Lease {
   public:
    Lease(RangePool& pool, size_t pieces) : pool_(&pool), pieces_(pieces) {}
    Lease(Lease&& other) noexcept : pool_(other.pool_), pieces_(std::exchange(other.pieces_, 0)) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease() { pool_->Return(pieces_); }
    [[nodiscard]] size_t pieces() const { return pieces_; }

   private:
    RangePool* pool_;
    size_t pieces_;
  };

  // At most `pieces` at a time, `most` for one blob; fewer than two of either turn ranges off.
  RangePool(size_t pieces, size_t most);

  // Of 0 or at least two pieces.
  [[nodiscard]] Lease TryTake();
  // A guess without a lock.
  [[nodiscard]] bool HasRoom() const { return free_hint_.load(std::memory_order_relaxed) >= 2; }
  [[nodiscard]] Executor& threads() { return threads_; }

 private:
  void Return(size_t pieces);

  const size_t most_;
  std::atomic<size_t> free_hint_;
  absl::Mutex mutex_;
  size_t free_ ABSL_GUARDED_BY(mutex_);
  Executor threads_;  // one for each piece
};

// What one endpoint makes of requests for ranges: found out by the first. Thread-safe.
class RangeSupport {
 public:
  enum class State { kUnknown, kWorks, kRefused };
  [[nodiscard]] State get() const { return state_.load(); }
  void Set(State state) { state_.store(state); }

 private:
  std::atomic<State> state_ = State::kUnknown;
};

// The rest of the transfer (it is large) in ranges: transfer.done moves on as its sink gets bytes.
// With transfer.ranges_refused the endpoint wants to send the whole blob only.
absl::Status RunRanges(Context& ctx, RegistryClient& client, Transfer& transfer, RangePool& pool,
                       const RangePool::Lease& lease, RangeSupport& support);

// RunTransfer for a whole blob, in ranges where that is possible and worth it. `pool` is optional.
absl::Status RunBlobTransfer(Context& ctx, RegistryClient& client, Transfer& transfer,
                             RangePool* pool, RangeSupport& support);

}  // namespace davit::image
