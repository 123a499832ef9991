// SPDX-License-Identifier: Apache-2.0
//
// The layers of one image during its pull: which are here already, which another pull is fetching,
// which are fetched for this one, a bounded number of them at a time. Used by one thread;
// destroying it lets go of all that was not committed.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "image/pull.h"

namespace davit::image {

class LayerSet {
 public:
  // All are borrowed for its lifetime.
  LayerSet(const PullEnvironment& environment, std::shared_ptr<Source> source,
           const Manifest& manifest, const std::vector<Digest>& diff_ids, std::string image);

  // Until every layer is pending here or present in the storage; the first failure ends the others.
  absl::Status Fetch(Context& ctx, PullProgress& progress);

  [[nodiscard]] const std::vector<PendingLayerPtr>& pending() const { return pending_; }
  // After the commit: other pulls find the layers in the storage from now on.
  void Settle();

 private:
  struct Item {
    const Layer* layer;
    Digest diff_id;
    std::string key;
    LayerProgress::State state = LayerProgress::State::kWaiting;
    int rejoined = 0;
    std::unique_ptr<LayerFlights::Ticket> ticket;
  };

  absl::StatusOr<bool> TakePresent(Item& item);
  void Start(Context& pull, Item& item);
  absl::Status Collect(Item& item);
  void Report(PullProgress& progress) const;

  const PullEnvironment& env_;
  const std::shared_ptr<Source> source_;
  const std::string image_;
  std::vector<Item> items_;  // each diff ID once
  std::vector<PendingLayerPtr> pending_;
};

}  // namespace davit::image
