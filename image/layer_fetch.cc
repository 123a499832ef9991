// SPDX-License-Identifier: Apache-2.0
#include "image/layer_fetch.h"

#include "base/status.h"
#include "base/time.h"
#include "base/trace.h"
#include "image/decompress.h"

namespace davit::image {
namespace {

using PendingPtr = std::shared_ptr<storage::PendingLayer>;

// What is wrong with the bytes themselves, be it the author's doing or damage on the way.
bool IsDataError(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsInvalidArgument(status) ||
         absl::IsFailedPrecondition(status);
}

using Clock = Context::Clock;

std::string Milliseconds(Clock::duration time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
}

// Unpacks while the bytes come; after an error in them only goes on hashing, because a wrong digest
// explains it better.
class Unpacker {
 public:
  explicit Unpacker(std::unique_ptr<storage::LayerWriter> writer)
      : writer_(std::move(writer)),
        decompressor_(
            Decompressor::Create([this](std::span<const uint8_t> bytes) { return Pass(bytes); })) {}

  absl::Status Write(std::span<const uint8_t> bytes) {
    const Clock::time_point start = Clock::now();
    const absl::Status status = Unpack(bytes);
    writing_ += Clock::now() - start;
    return status;
  }

  absl::StatusOr<PendingPtr> Finish(const Digest& diff_id, const Digest& blob) {
    RETURN_IF_ERROR(damage_);
    RETURN_IF_ERROR(decompressor_->Finish());
    return writer_->Finish(diff_id, blob);
  }

  // In Write, and the part of it that the writer took: it waits there if the disk is slower.
  [[nodiscard]] Clock::duration writing() const { return writing_; }
  [[nodiscard]] Clock::duration passing() const { return passing_; }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }

 private:
  absl::Status Pass(std::span<const uint8_t> bytes) {
    bytes_ += bytes.size();
    const Clock::time_point start = Clock::now();
    const absl::Status status = writer_->Write(bytes);
    passing_ += Clock::now() - start;
    return status;
  }

  absl::Status Unpack(std::span<const uint8_t> bytes) {
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

  std::unique_ptr<storage::LayerWriter> writer_;
  std::unique_ptr<Decompressor> decompressor_;
  absl::Status damage_;
  Clock::duration writing_{0};
  Clock::duration passing_{0};
  uint64_t bytes_ = 0;
};

// The stages of a layer run side by side: what tells them apart is how long each was busy.
void AddStages(Context& ctx, int64_t started_ns, const Layer& layer, const Unpacker& unpacker,
               Clock::duration whole) {
  trace::Add(ctx, "fetch", started_ns,
             {{"bytes", std::to_string(layer.blob.size)},
              {"busy_ms", Milliseconds(whole - unpacker.writing())}});
  trace::Add(ctx, "decompress", started_ns,
             {{"bytes", std::to_string(unpacker.bytes())},
              {"busy_ms", Milliseconds(unpacker.writing() - unpacker.passing())}});
}

absl::StatusOr<PendingPtr> FetchFrom(Context& ctx, storage::Storage& storage, Source& source,
                                     const Layer& layer, const Digest& diff_id, size_t endpoint,
                                     LayerCounter& counter) {
  counter.done_bytes = 0;
  counter.state = LayerProgress::State::kFetching;
  ASSIGN_OR_RETURN(auto writer, storage.NewLayer({.compressed_size = layer.blob.size}));
  Unpacker unpacker(std::move(writer));
  Hasher hasher(layer.blob.digest.algorithm());
  const ByteSink sink = [&](std::span<const uint8_t> bytes) {
    hasher.Update(bytes);
    counter.done_bytes += bytes.size();
    return unpacker.Write(bytes);
  };
  const int64_t started_ns = NowNanos();
  const Clock::time_point started = Clock::now();
  RETURN_IF_ERROR(layer.foreign ? source.StreamForeign(ctx, layer.blob, sink)
                                : source.StreamBlob(ctx, layer.blob, endpoint, sink));
  if (const Digest digest = hasher.Finish(); digest != layer.blob.digest) {
    return DataLoss("has digest {}", digest.text());
  }
  AddStages(ctx, started_ns, layer, unpacker, Clock::now() - started);
  auto pending = unpacker.Finish(diff_id, layer.blob.digest);
  trace::Add(ctx, "apply", started_ns, {{"waited_for_ms", Milliseconds(unpacker.passing())}});
  if (pending.ok()) {
    counter.state = LayerProgress::State::kDone;
  }
  return pending;
}

}  // namespace

absl::StatusOr<PendingPtr> FetchLayer(Context& ctx, storage::Storage& storage, Source& source,
                                      const Layer& layer, const Digest& diff_id,
                                      LayerCounter& counter) {
  trace::Span span(ctx, "layer");
  span.Set("digest", layer.blob.digest.text());
  absl::StatusOr<PendingPtr> pending = absl::UnknownError("");
  // A mirror with damaged bytes must not keep the image from a node: the next endpoint starts over.
  for (size_t endpoint = 0; endpoint < source.endpoint_count(); ++endpoint) {
    pending = FetchFrom(ctx, storage, source, layer, diff_id, endpoint, counter);
    if (!absl::IsDataLoss(pending.status()) || layer.foreign) {
      break;
    }
  }
  if (!pending.ok()) {
    return span.Outcome(Annotate(pending.status(), "layer " + layer.blob.digest.text()));
  }
  return pending;
}

}  // namespace davit::image
