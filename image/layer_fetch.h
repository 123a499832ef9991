// SPDX-License-Identifier: Apache-2.0
//
// One layer from the registry to the storage in a single pass: fetch, hash of the blob, decompress,
// hash of the diff, apply. Nothing is kept but the unpacked layer.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "base/digest.h"
#include "image/manifest.h"
#include "image/puller.h"
#include "image/source.h"
#include "storage/storage.h"

namespace davit::image {

struct LayerCounter {
  std::atomic<uint64_t> done_bytes = 0;
  std::atomic<LayerProgress::State> state = LayerProgress::State::kWaiting;
};

// Blob digest and size, and the diff ID, are right if this succeeds.
absl::StatusOr<std::shared_ptr<storage::PendingLayer>> FetchLayer(
    Context& ctx, storage::Storage& storage, Source& source, const Layer& layer,
    const Digest& diff_id, LayerCounter& counter);

}  // namespace davit::image
