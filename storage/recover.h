// SPDX-License-Identifier: Apache-2.0
//
// What Storage::Open does before anybody else sees the store: records and directories are made to
// agree. A directory without a record is what a crash left and goes; a record without its directory
// (deleted by hand, another disk) is marked as damaged, so that the layer is pulled again.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/db.h"
#include "storage/additional_stores.h"
#include "storage/paths.h"
#include "storage/records.h"

namespace davit::storage {

struct Recovered {
  Snapshot snapshot;                 // to begin with
  std::vector<std::string> garbage;  // directories to delete in the background
};

// Loads the records and repairs. What is to be deleted has been given names that nothing else uses.
// The snapshot is of what is ours, with layers that are `elsewhere` resolved.
absl::StatusOr<Recovered> Recover(const Paths& paths, Db& db, const AdditionalStores& elsewhere);

}  // namespace davit::storage
