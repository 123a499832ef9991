// SPDX-License-Identifier: Apache-2.0
//
// Stores that this node reads and never writes (storage.additional_stores): a directory that a
// davit elsewhere has filled, on a file system that nodes share or that was put onto their disks.
// Its images are listed and used as if they were ours, and what they bring is not fetched again.
//
// Their databases are read once, when the store is opened, from copies: nothing needs a lock, a
// log or a newer format there. In a snapshot their layers and images stand beside our own, with
// `store` set to the root they lie below; where both have the same image, layer or name, ours is
// taken. Of the others the first in the list is.
//
// An image of ours may have layers of theirs. Then our database has a row for the layer, marked
// kElsewhere. If the store is not there at a later start, such a layer is as good as damaged
// (storage/damage.h): the image is pulled again, and what is missing comes from the registry.
#pragma once

#include <string>
#include <vector>

#include "storage/paths.h"
#include "storage/records.h"

namespace davit::storage {

struct AdditionalStores {
  LayerTable layers;
  ImageTable images;  // without by_name

  [[nodiscard]] bool empty() const { return layers.by_id.empty() && images.by_id.empty(); }
};

// A store that cannot be read is left out, with an error in the log: it must not keep the node from
// starting. `scratch`: a directory for the copies, made and removed.
AdditionalStores ReadAdditionalStores(const std::vector<std::string>& roots,
                                      const std::string& scratch);

// Rows that are marked kElsewhere get what the stores say of the layer.
void ResolveElsewhere(Snapshot& snapshot, const AdditionalStores& stores);
// The tables with what is ours as it is, and of theirs what we do not have.
void ShowAdditional(Snapshot& snapshot, const AdditionalStores& stores);

// layers/<id> of the store that holds it.
[[nodiscard]] std::string DirectoryOf(const LayerRecord& layer, const Paths& ours);
[[nodiscard]] std::string DiffOf(const LayerRecord& layer, const Paths& ours);

}  // namespace davit::storage
