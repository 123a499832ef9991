// SPDX-License-Identifier: Apache-2.0
//
// The program's end of the ring (storage/unpack/protocol.h).
#pragma once

#include "storage/byte_source.h"

namespace davit::storage::unpack {

class RingSource : public ByteSource {
 public:
  // `ring` holds kRingBytes.
  explicit RingSource(const uint8_t* ring) : ring_(ring) {}

  // Cancelled if the daemon has abandoned the layer.
  absl::StatusOr<std::span<const uint8_t>> Next() override;

 private:
  absl::Status GiveBack();
  absl::Status Receive();

  const uint8_t* const ring_;
  size_t head_ = 0;     // of the first byte that Next has not given out
  size_t filled_ = 0;   // bytes from head_ on
  size_t lent_ = 0;     // what Next gave out last, before head_
  size_t emptied_ = 0;  // used up, the daemon does not know yet
  bool ended_ = false;
};

}  // namespace davit::storage::unpack
