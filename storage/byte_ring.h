// SPDX-License-Identifier: Apache-2.0
//
// A bounded buffer between one producing and one consuming thread: what the registry sends is
// hashed and inflated by the one while the other writes files. Memory is touched only as far as it
// is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace davit::storage {

// Where a TarReader gets its bytes.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // The next portion, valid until the next call; empty at the end of the stream.
  virtual absl::StatusOr<std::span<const uint8_t>> Next() = 0;
};

class ByteRing : public ByteSource {
 public:
  explicit ByteRing(size_t capacity);

  // --- producer ---
  // Blocks while the ring is full. After the consumer has closed its side: the consumer's status;
  // if that is OK the bytes are dropped.
  absl::Status Push(std::span<const uint8_t> bytes);
  // End of the stream.
  void CloseWrite();
  // No more bytes will come although the stream has not ended: the consumer gets Cancelled.
  void Abort();

  // --- consumer ---
  absl::StatusOr<std::span<const uint8_t>> Next() override;
  // Nothing more is read; wakes the producer.
  void CloseRead(const absl::Status& status);

 private:
  const size_t capacity_;
  const size_t max_portion_;
  std::unique_ptr<uint8_t[]> buffer_;

  absl::Mutex mutex_;
  absl::CondVar changed_;
  size_t head_ ABSL_GUARDED_BY(mutex_) = 0;  // of the first byte not yet released
  size_t used_ ABSL_GUARDED_BY(mutex_) = 0;  // bytes from head_ on
  size_t lent_ ABSL_GUARDED_BY(mutex_) = 0;  // of those, what Next gave out last
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool aborted_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status read_status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace davit::storage
