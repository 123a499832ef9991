// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a source, decompressed if they are gzip or zstd: an archive may come compressed as a
// whole. A thread of its own decompresses; it hands over one portion, uncopied, and makes the next
// when that has been read.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "storage/byte_source.h"

namespace davit::image {

class InflatedSource : public storage::ByteSource {
 public:
  // `source` outlives this. `stop` makes a Next of it that waits return; called by the destructor.
  static absl::StatusOr<std::unique_ptr<InflatedSource>> Create(storage::ByteSource& source,
                                                                std::function<void()> stop);
  ~InflatedSource() override;

  absl::StatusOr<std::span<const uint8_t>> Next() override;

 private:
  InflatedSource(storage::ByteSource& source, std::function<void()> stop)
      : source_(source), stop_(std::move(stop)) {}
  absl::Status Pump();
  absl::Status HandOver(std::span<const uint8_t> bytes);
  bool Offered() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return offered_ || ended_; }
  bool Taken() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !offered_ || closed_; }

  storage::ByteSource& source_;
  const std::function<void()> stop_;
  absl::Mutex mutex_;
  // The buffer of the decompressor, which stays as it is until offered_ is false.
  std::span<const uint8_t> portion_ ABSL_GUARDED_BY(mutex_);
  bool offered_ ABSL_GUARDED_BY(mutex_) = false;
  bool read_ ABSL_GUARDED_BY(mutex_) = false;    // the reader has portion_, and may look at it
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;  // nobody reads any more
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace davit::image
