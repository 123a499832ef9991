// SPDX-License-Identifier: Apache-2.0
#include "image/ranges.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "image/range_window.h"

namespace davit::image {
namespace {

// A blob with less to come is fetched sooner than connections are made.
constexpr uint64_t kWorthRanges = uint64_t{4} * kRangeBytes;
// How often a transfer over one connection asks whether there are more.
constexpr uint64_t kAskEvery = uint64_t{16} << 20U;

// The threads that fetch the pieces of one window. Destroying it ends them.
class Fetchers {
 public:
  Fetchers(Context& ctx, RegistryClient& client, const Transfer& whole, RangeWindow& window,
           RangePool& pool)
      : ctx_(ctx, Context::Clock::duration::max()),
        client_(client),
        whole_(whole),
        window_(window),
        pool_(pool) {}

  ~Fetchers() {
    window_.Stop();
    ctx_.Cancel();
    absl::MutexLock lock(&mutex_);
    while (running_ > 0) {
      ended_.Wait(&mutex_);
    }
  }
  Fetchers(const Fetchers&) = delete;
  Fetchers& operator=(const Fetchers&) = delete;

  void Start(size_t count) {
    {
      absl::MutexLock lock(&mutex_);
      running_ += count;
    }
    for (size_t i = 0; i < count; ++i) {
      pool_.threads().Run([this] {
        while (const auto piece = window_.Claim()) {
          Fetch(*piece);
        }
        absl::MutexLock lock(&mutex_);
        --running_;
        ended_.Signal();
      });
    }
  }

  [[nodiscard]] bool refused() const { return refused_.load(); }

 private:
  void Fetch(const RangeWindow::Piece& piece) {
    Transfer part = {
        .blob = whole_.blob,
        .sink = [&](std::span<const uint8_t> bytes) { return window_.Append(piece, bytes); },
        .path = whole_.path,
        .url = whole_.url,
        .done = piece.begin,
        .end = piece.end,
        .only_ranges = true,
        .direct = &direct_};
    const absl::Status status = RunTransfer(ctx_, client_, part);
    if (part.ranges_refused) {
      refused_.store(true);
    }
    window_.Finish(piece, status);
  }

  Context ctx_;
  RegistryClient& client_;
  const Transfer& whole_;
  RangeWindow& window_;
  RangePool& pool_;
  DirectUrl direct_;
  std::atomic<bool> refused_ = false;
  absl::Mutex mutex_;
  absl::CondVar ended_;
  size_t running_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Passes a transfer over one connection on, until there may be more connections.
absl::Status RunWhileAlone(Context& ctx, RegistryClient& client, Transfer& transfer,
                           const RangePool& pool, bool& more) {
  const ByteSink sink = transfer.sink;
  uint64_t ask_at = transfer.done + kAskEvery;
  transfer.sink = [&](std::span<const uint8_t> bytes) -> absl::Status {
    RETURN_IF_ERROR(sink(bytes));
    const uint64_t done = transfer.done + bytes.size();
    if (done < ask_at) {
      return absl::OkStatus();
    }
    ask_at = done + kAskEvery;
    more = pool.HasRoom() && transfer.end - done >= kWorthRanges;
    transfer.done += more ? bytes.size() : 0;  // they have been passed on
    return more ? absl::AbortedError("more connections are free") : absl::OkStatus();
  };
  const absl::Status status = RunTransfer(ctx, client, transfer);
  transfer.sink = sink;
  return status;
}

}  // namespace

RangePool::RangePool(size_t pieces, size_t most)
    : most_(most), free_hint_(pieces), free_(pieces), threads_(std::max<size_t>(pieces, 1)) {
  if (pieces < 2 || most < 2) {
    free_hint_ = 0;
    absl::MutexLock lock(&mutex_);
    free_ = 0;
  }
}

RangePool::Lease RangePool::TryTake() {
  absl::MutexLock lock(&mutex_);
  const size_t pieces = free_ >= 2 ? std::min(free_, most_) : 0;
  free_ -= pieces;
  free_hint_ = free_;
  return Lease(*this, pieces);
}

void RangePool::Return(size_t pieces) {
  absl::MutexLock lock(&mutex_);
  free_ += pieces;
  free_hint_ = free_;
}

absl::Status RunRanges(Context& ctx, RegistryClient& client, Transfer& transfer, RangePool& pool,
                       const RangePool::Lease& lease, RangeSupport& support) {
  RangeWindow window(transfer.done, transfer.end, kRangeBytes, lease.pieces());
  Fetchers fetchers(ctx, client, transfer, window, pool);
  // The first request shows whether the endpoint does it at all.
  bool proven = support.get() == RangeSupport::State::kWorks;
  fetchers.Start(proven ? lease.pieces() : 1);
  while (true) {
    const auto bytes = window.Next();
    if (!bytes.ok()) {
      transfer.ranges_refused = fetchers.refused();
      if (transfer.ranges_refused) {
        support.Set(RangeSupport::State::kRefused);
      }
      return bytes.status();
    }
    if (bytes->empty()) {
      return absl::OkStatus();
    }
    if (!std::exchange(proven, true)) {
      support.Set(RangeSupport::State::kWorks);
      fetchers.Start(lease.pieces() - 1);
    }
    if (absl::Status status = transfer.sink(*bytes); !status.ok()) {
      transfer.final = true;
      return status;
    }
    transfer.done += bytes->size();
  }
}

absl::Status RunBlobTransfer(Context& ctx, RegistryClient& client, Transfer& transfer,
                             RangePool* pool, RangeSupport& support) {
  while (pool != nullptr && support.get() != RangeSupport::State::kRefused) {
    if (transfer.end - transfer.done >= kWorthRanges) {
      if (const RangePool::Lease lease = pool->TryTake(); lease.pieces() > 0) {
        const absl::Status status = RunRanges(ctx, client, transfer, *pool, lease, support);
        if (!transfer.ranges_refused) {
          return status;
        }
        transfer.ranges_refused = false;
        break;
      }
    }
    bool more = false;
    const absl::Status status = RunWhileAlone(ctx, client, transfer, *pool, more);
    if (!more) {
      return status;
    }
    transfer.final = false;
  }
  return RunTransfer(ctx, client, transfer);
}

}  // namespace davit::image
