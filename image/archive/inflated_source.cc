// SPDX-License-Identifier: Apache-2.0
#include "image/archive/inflated_source.h"

#include <system_error>
#include <utility>

#include "base/status.h"
#include "image/decompress.h"

namespace davit::image {

absl::StatusOr<std::unique_ptr<InflatedSource>> InflatedSource::Create(storage::ByteSource& source,
                                                                       std::function<void()> stop) {
  std::unique_ptr<InflatedSource> self(new InflatedSource(source, std::move(stop)));
  try {
    self->thread_ = std::thread([raw = self.get()] {
      absl::Status status = raw->Pump();
      absl::MutexLock lock(&raw->mutex_);
      raw->ended_ = std::move(status);
    });
  } catch (const std::system_error& error) {
    return ResourceExhausted("start a thread to read an archive: {}", error.what());
  }
  return self;
}

InflatedSource::~InflatedSource() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  stop_();
  if (thread_.joinable()) {
    thread_.join();
  }
}

absl::Status InflatedSource::Pump() {
  const auto decompressor =
      Decompressor::Create([this](std::span<const uint8_t> bytes) { return HandOver(bytes); });
  while (true) {
    ASSIGN_OR_RETURN(const std::span<const uint8_t> bytes, source_.Next());
    if (bytes.empty()) {
      return decompressor->Finish();
    }
    RETURN_IF_ERROR(decompressor->Write(bytes));
  }
}

absl::Status InflatedSource::HandOver(std::span<const uint8_t> bytes) {
  if (bytes.empty()) {
    return absl::OkStatus();
  }
  absl::MutexLock lock(&mutex_);
  portion_ = bytes;
  offered_ = true;
  mutex_.Await(absl::Condition(this, &InflatedSource::Taken));
  return closed_ ? absl::CancelledError("nobody reads the archive any more") : absl::OkStatus();
}

absl::StatusOr<std::span<const uint8_t>> InflatedSource::Next() {
  absl::MutexLock lock(&mutex_);
  if (read_) {
    read_ = false;
    offered_ = false;
  }
  mutex_.Await(absl::Condition(this, &InflatedSource::Offered));
  if (offered_) {
    read_ = true;
    return portion_;
  }
  RETURN_IF_ERROR(*ended_);
  return std::span<const uint8_t>();
}

}  // namespace davit::image
