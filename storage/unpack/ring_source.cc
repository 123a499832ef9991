// SPDX-License-Identifier: Apache-2.0
#include "storage/unpack/ring_source.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/status.h"
#include "storage/unpack/protocol.h"

namespace davit::storage::unpack {
namespace {

constexpr size_t kMaxPortion = kRingBytes / 4;

}  // namespace

absl::Status RingSource::GiveBack() {
  const Up message{.kind = UpKind::kEmptied, .bytes = static_cast<uint32_t>(emptied_)};
  emptied_ = 0;
  if (send(kControlFd, &message, sizeof message, MSG_NOSIGNAL) < 0) {
    return Cancelled("the layer was abandoned");
  }
  return absl::OkStatus();
}

absl::Status RingSource::Receive() {
  Down message;
  ssize_t size = 0;
  do {
    size = recv(kControlFd, &message, sizeof message, 0);
  } while (size < 0 && errno == EINTR);
  if (size != sizeof message) {
    return Cancelled("the layer was abandoned");
  }
  if (message.kind == DownKind::kEnd) {
    ended_ = true;
  } else {
    filled_ += message.bytes;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::span<const uint8_t>> RingSource::Next() {
  emptied_ += lent_;
  lent_ = 0;
  if (emptied_ >= kNotifyBytes || (filled_ == 0 && emptied_ > 0)) {
    RETURN_IF_ERROR(GiveBack());
  }
  while (filled_ == 0 && !ended_) {
    RETURN_IF_ERROR(Receive());
  }
  lent_ = std::min({filled_, kRingBytes - head_, kMaxPortion});
  const std::span<const uint8_t> portion(ring_ + head_, lent_);
  head_ = (head_ + lent_) % kRingBytes;
  filled_ -= lent_;
  return portion;
}

}  // namespace davit::storage::unpack
