// SPDX-License-Identifier: Apache-2.0
#include "image/layer_set.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "base/status.h"

namespace davit::image {
namespace {

constexpr std::chrono::milliseconds kTick{50};  // how fresh progress and cancellation are
constexpr int kMaxRejoins = 3;

using State = LayerProgress::State;

absl::StatusOr<std::optional<Digest>> PresentLayer(const storage::Storage& storage,
                                                   const Digest& diff_id, const Digest& blob) {
  if (storage.HasLayer(diff_id)) {
    return std::optional(diff_id);
  }
  // The same blob cannot unpack to something else today.
  const auto known = storage.FindLayerByBlob(blob);
  if (known && known->diff_id.algorithm() == diff_id.algorithm()) {
    return DataLoss("layer {} has diff ID {}, the image config says {}", blob.text(),
                    known->diff_id.text(), diff_id.text());
  }
  return std::optional<Digest>();
}

}  // namespace

std::vector<WantedLayer> ImageLayers(const PullEnvironment& environment,
                                     const std::shared_ptr<Source>& source,
                                     const Manifest& manifest,
                                     const std::vector<Digest>& diff_ids) {
  std::vector<WantedLayer> wanted;
  std::set<Digest> seen;
  for (size_t i = 0; i < diff_ids.size(); ++i) {
    const Layer& layer = manifest.layers[i];
    const Digest& diff_id = diff_ids[i];
    if (!seen.insert(diff_id).second) {
      continue;
    }
    storage::Storage& storage = environment.storage;
    WantedLayer one;
    one.blob = layer.blob;
    // Of the size too, which a manifest only claims.
    one.key =
        diff_id.text() + "|" + layer.blob.digest.text() + "|" + std::to_string(layer.blob.size);
    one.present = [&storage, diff_id, blob = layer.blob.digest] {
      return PresentLayer(storage, diff_id, blob);
    };
    one.fetch = [&storage, source, layer, diff_id](Context& ctx, LayerCounter& counter) {
      return FetchLayer(ctx, storage, *source, layer, diff_id, counter);
    };
    wanted.push_back(std::move(one));
  }
  return wanted;
}

LayerSet::LayerSet(const PullEnvironment& environment, std::vector<WantedLayer> wanted,
                   std::string image)
    : env_(environment), image_(std::move(image)) {
  std::set<std::string> seen;
  for (WantedLayer& one : wanted) {
    if (seen.insert(one.key).second) {
      items_.emplace_back().wanted = std::move(one);
    }
  }
}

absl::StatusOr<bool> LayerSet::TakePresent(Item& item) {
  ASSIGN_OR_RETURN(const std::optional<Digest> diff_id, item.wanted.present());
  if (diff_id) {
    item.diff_id = *diff_id;
    item.state = State::kPresent;
    return true;
  }
  if (PendingLayerPtr layer = env_.uncommitted.Find(item.wanted.key)) {
    TakePending(item, std::move(layer));
    return true;
  }
  return false;
}

void LayerSet::TakePending(Item& item, PendingLayerPtr layer) {
  item.diff_id = layer->info().diff_id;
  item.state = State::kDone;
  pending_.push_back(std::move(layer));
}

void LayerSet::Start(Context& pull, Item& item) {
  auto work = [span = pull.span(), &uncommitted = env_.uncommitted, fetch = item.wanted.fetch,
               key = item.wanted.key, stage = "fetch layer " + item.wanted.blob.digest.text()](
                  Context& ctx, LayerCounter& counter) -> absl::StatusOr<PendingLayerPtr> {
    ctx.SetStage(stage);
    ctx.SetSpan(span);
    ASSIGN_OR_RETURN(PendingLayerPtr pending, fetch(ctx, counter));
    uncommitted.Add(key, pending);
    return pending;
  };
  item.state = State::kFetching;
  item.ticket =
      std::make_unique<LayerFlights::Ticket>(env_.flights.Join(item.wanted.key, std::move(work)));
}

// The end of a flight, if it has come.
absl::Status LayerSet::Collect(Item& item) {
  auto result = item.ticket->result();
  if (!result) {
    return absl::OkStatus();
  }
  const bool led = item.ticket->led();
  item.ticket.reset();
  if (result->ok()) {
    TakePending(item, **std::move(result));
    return absl::OkStatus();
  }
  // Another pull's credentials or registry failed, not ours.
  if (!led && item.rejoined++ < kMaxRejoins) {
    item.state = State::kWaiting;
    return absl::OkStatus();
  }
  return result->status();
}

absl::Status LayerSet::Fetch(Context& ctx, PullProgress& progress) {
  const auto most = static_cast<size_t>(std::max(env_.config.max_parallel_layers, 1));
  while (true) {
    const uint64_t ended = env_.flights.ended();
    size_t flying = 0;
    size_t finished = 0;
    for (Item& item : items_) {
      if (item.state == State::kFetching) {
        RETURN_IF_ERROR(Collect(item));
      }
      if (item.state == State::kWaiting && flying < most) {
        ASSIGN_OR_RETURN(const bool present, TakePresent(item));
        if (!present) {
          Start(ctx, item);
        }
      }
      flying += item.state == State::kFetching ? 1 : 0;
      finished += item.state == State::kDone || item.state == State::kPresent ? 1 : 0;
    }
    Report(progress);
    if (finished == items_.size()) {
      return absl::OkStatus();
    }
    ctx.SetStage(fmt::format("fetch layers of {}: {} of {} done", image_, finished, items_.size()));
    RETURN_IF_ERROR(ctx.Check());
    env_.flights.AwaitMore(ended, kTick);
  }
}

void LayerSet::Report(PullProgress& progress) const {
  std::vector<LayerProgress> layers;
  for (const Item& item : items_) {
    LayerProgress one = {.blob = item.wanted.blob.digest, .total_bytes = item.wanted.blob.size};
    one.state = item.state;
    if (item.ticket) {
      one.done_bytes = item.ticket->progress().done_bytes.load();
      one.state = item.ticket->progress().state.load();
    } else if (item.state == State::kDone || item.state == State::kPresent) {
      one.done_bytes = one.total_bytes;
    }
    layers.push_back(std::move(one));
  }
  progress.Set(std::move(layers));
}

void LayerSet::Settle() {
  for (const Item& item : items_) {
    env_.uncommitted.Forget(item.wanted.key);
  }
}

std::vector<Digest> LayerSet::diff_ids() const {
  std::vector<Digest> ids;
  ids.reserve(items_.size());
  for (const Item& item : items_) {
    ids.push_back(item.diff_id);
  }
  return ids;
}

void UncommittedLayers::Add(const std::string& key, const PendingLayerPtr& layer) {
  absl::MutexLock lock(&mutex_);
  std::erase_if(layers_, [](const auto& entry) { return entry.second.expired(); });
  layers_[key] = layer;
}

PendingLayerPtr UncommittedLayers::Find(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  const auto it = layers_.find(key);
  return it == layers_.end() ? nullptr : it->second.lock();
}

void UncommittedLayers::Forget(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  layers_.erase(key);
}

}  // namespace davit::image
