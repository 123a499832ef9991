// SPDX-License-Identifier: Apache-2.0
#include "image/layer_fetch.h"

#include "base/status.h"
#include "image/decompress.h"

namespace davit::image {
namespace {

using PendingPtr = std::shared_ptr<storage::PendingLayer>;

// What is wrong with the bytes themselves, be it the author's doing or damage on the way.
bool IsDataError(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsInvalidArgument(status) ||
         absl::IsFailedPrecondition(status);
}

// Unpacks while the bytes come; after an error in them only goes on hashing, because a wrong digest
// explains it better.
class Unpacker {
 public:
  explicit Unpacker(std::unique_ptr<storage::LayerWriter> writer)
      : writer_(std::move(writer)),
        decompressor_(Decompressor::Create(
            [this](std::span<const uint8_t> bytes) { return writer_->Write(bytes); })) {}

  absl::Status Write(std::span<const uint8_t> bytes) {
    if (!damage_.ok()) {
      return absl::OkStatus();
    }
    const absl::Status status = decompressor_->Write(bytes);
    if (!IsDataError(status)) {
      return status;
    }
    damage_ = status;
    writer_.reset();  // what was written goes now, not after the rest of the transfer
    return absl::OkStatus();
  }

  absl::StatusOr<PendingPtr> Finish(const Digest& diff_id, const Digest& blob) {
    RETURN_IF_ERROR(damage_);
    RETURN_IF_ERROR(decompressor_->Finish());
    return writer_->Finish(diff_id, blob);
  }

 private:
  std::unique_ptr<storage::LayerWriter> writer_;
  std::unique_ptr<Decompressor> decompressor_;
  absl::Status damage_;
};

absl::StatusOr<PendingPtr> FetchFrom(Context& ctx, storage::Storage& storage, Source& source,
                                     const Layer& layer, const Digest& diff_id, size_t endpoint,
                                     LayerCounter& counter) {
  counter.done_bytes = 0;
  counter.state = LayerProgress::State::kFetching;
  ASSIGN_OR_RETURN(auto writer, storage.NewLayer());
  Unpacker unpacker(std::move(writer));
  Hasher hasher(layer.blob.digest.algorithm());
  const ByteSink sink = [&](std::span<const uint8_t> bytes) {
    hasher.Update(bytes);
    counter.done_bytes += bytes.size();
    return unpacker.Write(bytes);
  };
  RETURN_IF_ERROR(layer.foreign ? source.StreamForeign(ctx, layer.blob, sink)
                                : source.StreamBlob(ctx, layer.blob, endpoint, sink));
  if (const Digest digest = hasher.Finish(); digest != layer.blob.digest) {
    return DataLoss("has digest {}", digest.text());
  }
  auto pending = unpacker.Finish(diff_id, layer.blob.digest);
  if (pending.ok()) {
    counter.state = LayerProgress::State::kDone;
  }
  return pending;
}

}  // namespace

absl::StatusOr<PendingPtr> FetchLayer(Context& ctx, storage::Storage& storage, Source& source,
                                      const Layer& layer, const Digest& diff_id,
                                      LayerCounter& counter) {
  absl::StatusOr<PendingPtr> pending = absl::UnknownError("");
  // A mirror with damaged bytes must not keep the image from a node: the next endpoint starts over.
  for (size_t endpoint = 0; endpoint < source.endpoint_count(); ++endpoint) {
    pending = FetchFrom(ctx, storage, source, layer, diff_id, endpoint, counter);
    if (!absl::IsDataLoss(pending.status()) || layer.foreign) {
      break;
    }
  }
  if (!pending.ok()) {
    return Annotate(pending.status(), "layer " + layer.blob.digest.text());
  }
  return pending;
}

}  // namespace davit::image
