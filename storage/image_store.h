// SPDX-License-Identifier: Apache-2.0
//
// Images and the layers that they hold: commit, names, removal, and reading an image's files.
// Thread-safe. On disk: layers/ and the tables layers, layer_blobs, images, image_layers,
// image_names.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "storage/state.h"

namespace davit::storage {

class ImageStore {
 public:
  explicit ImageStore(State& state) : state_(state) {}

  // The contracts of these are in storage/storage.h.
  absl::Status Commit(const ImageRecord& image,
                      const std::vector<std::shared_ptr<PendingLayer>>& layers);
  absl::Status RemoveName(const std::string& name);
  absl::Status Remove(const std::string& image_id);
  absl::Status WithRoot(const std::string& image_id,
                        const std::function<absl::Status(int root_fd)>& body);

 private:
  // Removes the image's records; returns the directories that are left to delete.
  absl::StatusOr<std::vector<std::string>> Drop(const ImageRecord& image)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_.changes);

  State& state_;
};

// By ID, "sha256:"+ID, unambiguous prefix of an ID (>= 3 digits) or name.
absl::StatusOr<std::optional<std::shared_ptr<const ImageRecord>>> FindInTable(
    const ImageTable& table, const std::string& id_or_name);

// The diff directories that an overlay of the image stacks, topmost first: each layer once, none
// below one that hides all others; the empty directory if there is none.
absl::StatusOr<std::vector<std::string>> LowersOf(const ImageRecord& image,
                                                  const LayerTable& layers, const Paths& paths);

}  // namespace davit::storage
