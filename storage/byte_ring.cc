// SPDX-License-Identifier: Apache-2.0
#include "storage/byte_ring.h"

#include <algorithm>
#include <cstring>

#include "base/status.h"

namespace davit::storage {

ByteRing::ByteRing(size_t capacity)
    : capacity_(capacity),
      max_portion_(std::max<size_t>(capacity / 4, 1)),
      buffer_(std::make_unique_for_overwrite<uint8_t[]>(capacity)) {}

absl::Status ByteRing::Push(std::span<const uint8_t> bytes) {
  absl::MutexLock lock(&mutex_);
  while (!bytes.empty()) {
    while (used_ == capacity_ && !closed_) {
      changed_.Wait(&mutex_);
    }
    if (closed_) {
      return read_status_;
    }
    const size_t tail = (head_ + used_) % capacity_;
    const size_t room = std::min(capacity_ - used_, capacity_ - tail);
    const size_t count = std::min({bytes.size(), room, max_portion_});
    // The consumer never looks behind used_, so the copy needs no lock.
    mutex_.Unlock();
    memcpy(buffer_.get() + tail, bytes.data(), count);
    mutex_.Lock();
    used_ += count;
    bytes = bytes.subspan(count);
    changed_.Signal();
  }
  return closed_ ? read_status_ : absl::OkStatus();
}

void ByteRing::CloseWrite() {
  absl::MutexLock lock(&mutex_);
  ended_ = true;
  changed_.Signal();
}

void ByteRing::Abort() {
  absl::MutexLock lock(&mutex_);
  aborted_ = true;
  changed_.Signal();
}

absl::StatusOr<std::span<const uint8_t>> ByteRing::Next() {
  absl::MutexLock lock(&mutex_);
  head_ = (head_ + lent_) % capacity_;
  used_ -= lent_;
  if (lent_ > 0) {
    lent_ = 0;
    changed_.Signal();
  }
  while (used_ == 0 && !ended_ && !aborted_) {
    changed_.Wait(&mutex_);
  }
  if (aborted_) {
    return Cancelled("the layer was abandoned");
  }
  lent_ = std::min({used_, capacity_ - head_, max_portion_});
  return std::span<const uint8_t>(buffer_.get() + head_, lent_);
}

void ByteRing::CloseRead(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  read_status_ = status;
  changed_.Signal();
}

}  // namespace davit::storage
