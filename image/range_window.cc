// SPDX-License-Identifier: Apache-2.0
#include "image/range_window.h"

#include <algorithm>
#include <cstring>

#include "base/status.h"

namespace davit::image {

RangeWindow::RangeWindow(uint64_t begin, uint64_t end, size_t piece_bytes, size_t slots)
    : begin_(begin),
      end_(end),
      piece_bytes_(piece_bytes),
      pieces_((end - begin + piece_bytes - 1) / piece_bytes),
      slots_(slots) {}

size_t RangeWindow::Length(uint64_t index) const {
  return static_cast<size_t>(std::min<uint64_t>(piece_bytes_, end_ - Begin(index)));
}

std::optional<RangeWindow::Piece> RangeWindow::Claim() {
  absl::MutexLock lock(&mutex_);
  while (!stopped_ && !failed_ && next_ < pieces_ && next_ >= head_ + slots_.size()) {
    read_.Wait(&mutex_);
  }
  if (stopped_ || failed_ || next_ == pieces_) {
    return std::nullopt;
  }
  const uint64_t index = next_++;
  Slot& slot = SlotOf(index);
  if (!slot.bytes) {
    slot.bytes = std::make_unique_for_overwrite<uint8_t[]>(piece_bytes_);
  }
  slot.filled = 0;
  slot.read = 0;
  slot.status = absl::OkStatus();
  return Piece{.index = index, .begin = Begin(index), .end = Begin(index) + Length(index)};
}

absl::Status RangeWindow::Append(const Piece& piece, std::span<const uint8_t> bytes) {
  absl::MutexLock lock(&mutex_);
  Slot& slot = SlotOf(piece.index);
  if (stopped_) {
    return Cancelled("the blob is not wanted any more");
  }
  if (bytes.size() > Length(piece.index) - slot.filled) {
    return DataLoss("more bytes than a range has");
  }
  uint8_t* const to = slot.bytes.get() + slot.filled;
  // The reader never looks behind `filled`, so the copy needs no lock.
  mutex_.Unlock();
  memcpy(to, bytes.data(), bytes.size());
  mutex_.Lock();
  slot.filled += bytes.size();
  if (piece.index == head_) {
    arrived_.Signal();
  }
  return absl::OkStatus();
}

void RangeWindow::Finish(const Piece& piece, const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  SlotOf(piece.index).status = status;
  if (!status.ok()) {
    failed_ = true;  // nobody fetches what will not be read
    read_.SignalAll();
    arrived_.Signal();
  }
}

absl::StatusOr<std::span<const uint8_t>> RangeWindow::Next() {
  absl::MutexLock lock(&mutex_);
  if (head_ < pieces_) {
    SlotOf(head_).read += lent_;
    lent_ = 0;
    if (SlotOf(head_).read == Length(head_)) {
      ++head_;
      read_.SignalAll();
    }
  }
  if (head_ == pieces_) {
    return std::span<const uint8_t>();
  }
  // A slot holds an old piece until the head's is claimed.
  while (head_ >= next_ || SlotOf(head_).filled == SlotOf(head_).read) {
    if (head_ < next_ && !SlotOf(head_).status.ok()) {
      return SlotOf(head_).status;
    }
    if (failed_ && head_ >= next_) {
      return Internal("a range that nobody fetches");
    }
    arrived_.Wait(&mutex_);
  }
  const Slot& slot = SlotOf(head_);
  lent_ = slot.filled - slot.read;
  return std::span<const uint8_t>(slot.bytes.get() + slot.read, lent_);
}

void RangeWindow::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  read_.SignalAll();
}

}  // namespace davit::image
