// SPDX-License-Identifier: Apache-2.0
//
// The layers of one image or artifact during its pull: which are here already, which another pull
// is fetching, which are fetched for this one, a bounded number of them at a time. Used by one
// thread; destroying it lets go of all that was not committed.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/context.h"
#include "image/pull.h"

namespace davit::image {

// One layer that a pull needs. Equal keys mean the same layer, whichever pull asks.
struct WantedLayer {
  Descriptor blob;
  std::string key;
  // Its diff ID if the storage has it; DataLoss if what the storage has of the blob contradicts it.
  std::function<absl::StatusOr<std::optional<Digest>>()> present;
  // May be called after the set and the pull that made it are gone.
  LayerFlights::Work fetch;
};

// Those of a container image, each diff ID once. The environment is borrowed for as long as any of
// them is fetched.
std::vector<WantedLayer> ImageLayers(const PullEnvironment& environment,
                                     const std::shared_ptr<Source>& source,
                                     const Manifest& manifest, const std::vector<Digest>& diff_ids);

class LayerSet {
 public:
  // The environment is borrowed for the set's lifetime. `image` is for messages.
  LayerSet(const PullEnvironment& environment, std::vector<WantedLayer> wanted, std::string image);

  // Until every layer is pending here or present in the storage; the first failure ends the others.
  absl::Status Fetch(Context& ctx, PullProgress& progress);

  [[nodiscard]] const std::vector<PendingLayerPtr>& pending() const { return pending_; }
  // After Fetch, in the order of what was wanted, each key once.
  [[nodiscard]] std::vector<Digest> diff_ids() const;
  // After the commit: other pulls find the layers in the storage from now on.
  void Settle();

 private:
  struct Item {
    WantedLayer wanted;
    Digest diff_id;  // once it is here
    LayerProgress::State state = LayerProgress::State::kWaiting;
    int rejoined = 0;
    std::unique_ptr<LayerFlights::Ticket> ticket;
  };

  absl::StatusOr<bool> TakePresent(Item& item);
  void TakePending(Item& item, PendingLayerPtr layer);
  void Start(Context& pull, Item& item);
  absl::Status Collect(Item& item);
  void Report(PullProgress& progress) const;

  const PullEnvironment& env_;
  const std::string image_;
  std::vector<Item> items_;  // each key once
  std::vector<PendingLayerPtr> pending_;
};

}  // namespace davit::image
