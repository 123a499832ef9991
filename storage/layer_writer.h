// SPDX-License-Identifier: Apache-2.0
//
// The LayerWriter of storage/storage.h: the caller's thread hashes and fills a ring of shared
// memory, a process parses and applies (storage/unpacker.h).
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "storage/records.h"
#include "storage/storage.h"
#include "storage/tar_applier.h"

namespace davit::storage {

// A finished layer in its temporary directory.
class StagedLayer : public PendingLayer {
 public:
  StagedLayer(std::string directory, LayerRecord record)
      : directory_(std::move(directory)), record_(std::move(record)) {}
  ~StagedLayer() override;
  StagedLayer(const StagedLayer&) = delete;
  StagedLayer& operator=(const StagedLayer&) = delete;

  [[nodiscard]] const LayerInfo& info() const override { return record_.info; }
  [[nodiscard]] const LayerRecord& record() const { return record_; }
  [[nodiscard]] const std::string& directory() const { return directory_; }

  // The directory has become a layer's: the destructor leaves it alone.
  void MarkTaken() { taken_ = true; }
  [[nodiscard]] bool taken() const { return taken_; }

 private:
  const std::string directory_;
  const LayerRecord record_;
  std::atomic<bool> taken_ = false;
};

// `program` is davit-unpack. `directory` does not exist yet; its parent does. With `recipe`, what
// is needed to make the tar again is recorded beside the files (storage/recipe/recipe_format.h).
absl::StatusOr<std::unique_ptr<LayerWriter>> NewLayerWriter(const std::string& program,
                                                            const std::string& directory,
                                                            const ApplyLimits& limits, bool recipe);

}  // namespace davit::storage
