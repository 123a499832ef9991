// SPDX-License-Identifier: Apache-2.0
//
// One pull, from a reference to a committed image. Everything it needs is borrowed from the Puller,
// which shares layers between pulls.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "base/context.h"
#include "base/trace.h"
#include "config/config.h"
#include "image/flights.h"
#include "image/image_config.h"
#include "image/layer_fetch.h"
#include "image/manifest.h"
#include "image/puller.h"
#include "image/reference.h"
#include "image/registries/registries.h"
#include "image/source.h"
#include "storage/storage.h"

namespace davit::image {

using PendingLayerPtr = std::shared_ptr<storage::PendingLayer>;
using LayerFlights = Flights<PendingLayerPtr, LayerCounter>;

// What a pull's callers see of it. Thread-safe.
class PullProgress {
 public:
  void Set(std::vector<LayerProgress> layers);
  [[nodiscard]] std::vector<LayerProgress> Get() const;
  // Compressed bytes that came per second, of the last seconds.
  [[nodiscard]] uint64_t bytes_per_second() const;
  [[nodiscard]] Context::Clock::time_point started() const { return started_; }

  void SetTrace(const trace::TraceId& trace);
  [[nodiscard]] trace::TraceId trace() const;

 private:
  using Clock = Context::Clock;
  const Clock::time_point started_ = Clock::now();
  mutable absl::Mutex mutex_;
  std::vector<LayerProgress> layers_ ABSL_GUARDED_BY(mutex_);
  trace::TraceId trace_ ABSL_GUARDED_BY(mutex_) = {};
  Clock::time_point sampled_ ABSL_GUARDED_BY(mutex_) = started_;
  uint64_t sampled_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  double rate_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Layers that are unpacked but of no committed image yet: a second pull takes them from here, as
// long as the first holds them. Thread-safe.
class UncommittedLayers {
 public:
  void Add(const std::string& key, const PendingLayerPtr& layer);
  [[nodiscard]] PendingLayerPtr Find(const std::string& key);
  void Forget(const std::string& key);

 private:
  absl::Mutex mutex_;
  std::map<std::string, std::weak_ptr<storage::PendingLayer>> layers_ ABSL_GUARDED_BY(mutex_);
};

struct PullEnvironment {
  const config::Image& config;
  storage::Storage& storage;
  const PolicyChecker& policy;
  LayerFlights& flights;
  UncommittedLayers& uncommitted;
  RangePool& ranges;
  Registries& registries;
};

// The request with the name in its full form.
PullRequest WithName(PullRequest request, const Reference& reference);

absl::StatusOr<PullResult> RunPull(Context& ctx, const PullEnvironment& environment,
                                   const Reference& reference, const PullRequest& request,
                                   PullProgress& progress);

}  // namespace davit::image
