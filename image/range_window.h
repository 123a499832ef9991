// SPDX-License-Identifier: Apache-2.0
//
// A stretch of a blob that several threads fetch in pieces and one thread reads in order. Memory is
// bounded: a piece may be claimed only while it is less than `slots` pieces ahead of the reader.
// Bytes can be read as they come, not only whole pieces.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace davit::image {

class RangeWindow {
 public:
  struct Piece {
    uint64_t index = 0;
    uint64_t begin = 0;  // in the blob
    uint64_t end = 0;
  };

  // For the bytes [begin, end) of the blob.
  RangeWindow(uint64_t begin, uint64_t end, size_t piece_bytes, size_t slots);

  // --- fetching threads ---
  // The next piece; blocks while the reader is too far behind. Nothing when all are claimed, or
  // after Stop or a failure.
  std::optional<Piece> Claim();
  // Cancelled after Stop. At most the piece's bytes in all.
  absl::Status Append(const Piece& piece, std::span<const uint8_t> bytes);
  // A piece that is not complete needs an error.
  void Finish(const Piece& piece, const absl::Status& status);

  // --- the reading thread ---
  // The next bytes in order, valid until the next call; empty at the end. After a failure what came
  // before it is given first.
  absl::StatusOr<std::span<const uint8_t>> Next();
  void Stop();

 private:
  struct Slot {
    std::unique_ptr<uint8_t[]> bytes;
    size_t filled = 0;
    size_t read = 0;
    absl::Status status;
  };
  [[nodiscard]] uint64_t Begin(uint64_t index) const { return begin_ + index * piece_bytes_; }
  [[nodiscard]] size_t Length(uint64_t index) const;
  Slot& SlotOf(uint64_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return slots_[index % slots_.size()];
  }

  const uint64_t begin_;
  const uint64_t end_;
  const size_t piece_bytes_;
  const uint64_t pieces_;

  absl::Mutex mutex_;
  absl::CondVar read_;     // a slot has become free
  absl::CondVar arrived_;  // the reader may look again
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mutex_);
  uint64_t head_ ABSL_GUARDED_BY(mutex_) = 0;  // the piece that is read
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 0;  // the next to claim
  size_t lent_ ABSL_GUARDED_BY(mutex_) = 0;    // bytes that Next gave out last
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace davit::image
